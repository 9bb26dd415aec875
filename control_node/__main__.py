"""`python -m control_node`."""

import sys

from control_node.node import main

sys.exit(main())
