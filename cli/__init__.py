"""The `atomforge` command: one file a subcommand; the only place that reads argv, environment and YAML."""
