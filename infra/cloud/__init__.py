"""The deployer: what a cloud node is made of, and how a project comes to be like that.

`deployment` has the names of everything, `functions/<name>/function.toml` (read by `declarations`)
says how each function runs. `plan` lists the steps: each, in the module of its service, looks at
what is there, decides by itself what differs, and says the requests that mend it. `executor` acts.
`api` and `gcloud` are the two doors to the outside: JSON requests to Google's APIs, and the
command `gcloud`, which signs in, uploads and builds. `smoke` tries the result as a phone would.
`allowances` reads what the free tier gives, `usage` what of it was used, and `household` what a
node needs.

Nothing here runs in the cloud.
"""
