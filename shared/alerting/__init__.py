"""How alerts reach people: channels, each a module, and who is told what when."""
