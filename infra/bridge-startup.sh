#!/bin/bash
# Runs at each boot of the bridge's machine: brings this version of Yurt and starts the bridge. What
# is complete already is left as it is, so it may end anywhere and run again.
#
# Whatever fails is tried again, because nobody else does before the next boot: what the machine's
# account may read is known everywhere only minutes after it was allowed to
# (https://cloud.google.com/iam/docs/access-change-propagation), and a new machine may be updating
# itself, which locks apt. A minute apart, a month of it stays within the free reads of the bucket.
#
# The machine's metadata say which version, from which bucket, and what the service is like.
set -Eeuo pipefail
# Not in a subshell, whose failure is that of the command which it is part of.
trap '((BASH_SUBSHELL)) || { sleep "${YURT_PAUSE:-60}"; exec bash "$0"; }' ERR

root=${YURT_ROOT:-/opt/yurt}
units=${YURT_UNITS:-/etc/systemd/system}
metadata=http://metadata.google.internal/computeMetadata/v1/instance

ask() { curl --silent --show-error --fail --retry 5 "$@"; }
tell() { ask --header 'Metadata-Flavor: Google' "$metadata/$1"; }

version=$(tell attributes/yurt-version)
bucket=$(tell attributes/yurt-bucket)
there=$root/$version

if [ ! -e "$there/complete" ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update --quiet=2
  apt-get install --quiet=2 --yes --no-install-recommends python3-venv
  rm -rf "$there"
  mkdir -p "$there"
  token=$(tell service-accounts/default/token | sed 's/.*"access_token" *: *"\([^"]*\)".*/\1/')
  ask --header "Authorization: Bearer $token" --output "$there/yurt.tar.gz" \
    "https://storage.googleapis.com/storage/v1/b/$bucket/o/bridge%2F$version.tar.gz?alt=media"
  echo "$version  $there/yurt.tar.gz" | sha256sum --check --quiet
  tar --extract --gzip --file "$there/yurt.tar.gz" --directory "$there"
  python3 -m venv "$there/.venv"
  "$there/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$there/requirements.txt"
  sync # or a machine that loses power could find the mark without the files
  touch "$there/complete"
fi

id yurt >/dev/null 2>&1 || useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin yurt
tell attributes/yurt-unit >"$units/yurt-bridge.service.new"
mv "$units/yurt-bridge.service.new" "$units/yurt-bridge.service"
systemctl daemon-reload
systemctl enable --quiet yurt-bridge.service
systemctl restart yurt-bridge.service
