"""Calls main() of an example that is compiled as a shared library, in a wheel's TFLM runtime.

    python -P run_in_tflm.py WORKER_FOLDER RUNTIME LIBRARY

Runs as a plain script, as tflm_worker.py does.
"""

import ctypes
import os
import sys

sys.path.insert(0, sys.argv[1])
from tflm_worker import Worker

Worker(sys.argv[2])
ctypes.CDLL(sys.argv[2], os.RTLD_GLOBAL | os.RTLD_NOLOAD | os.RTLD_NOW)
sys.exit(ctypes.CDLL(sys.argv[3], os.RTLD_GLOBAL | os.RTLD_NOW).main())
