"""`python -m sim_node`."""

import sys

from sim_node.node import main

sys.exit(main())
