"""`python -m executor.commands` is `atomforge-executor`."""

import sys

from executor.commands.main import main

sys.exit(main())
