"""`python compiled.py FILE`: a pipeline of these scripts, compiled by the kfp that runs this."""

import sys

from kfp import compiler
from pipelines import arithmetic

compiler.Compiler().compile(arithmetic, sys.argv[1])
