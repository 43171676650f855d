"""`python -m warpbench`."""

import sys

if __name__ == "__main__":
    try:
        from warpbench.cli import main
    except ModuleNotFoundError as error:  # a Python that was never set up: the command line itself needs a package
        from warpbench.errors import missing_package

        problem = missing_package(error.name)
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
    sys.exit(main())
