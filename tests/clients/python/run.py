"""Runs the tests here and fails when one fails, or when nothing ran: that would prove nothing."""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.discover(str(HERE)))
failed = len(result.failures) + len(result.errors)
passed = result.testsRun - failed - len(result.skipped)
print(f"\n{max(passed, 0)} passed, {failed} failed, {len(result.skipped)} skipped", flush=True)
if result.testsRun == len(result.skipped):
    print("no test ran: nothing is proved", file=sys.stderr)
    sys.exit(1)
sys.exit(not result.wasSuccessful())
