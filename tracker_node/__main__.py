"""`python -m tracker_node`."""

import sys

from tracker_node.node import main

sys.exit(main())
