"""The live program: `python run_live.py …` is `allaprima live …`."""

import sys

from engine.cli import main

if __name__ == "__main__":
    sys.exit(main(["live", *sys.argv[1:]]))
