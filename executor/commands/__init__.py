"""The commands of `atomforge-executor`: grade, serve, convert, build, doctor. `atomforge` offers them, too."""
