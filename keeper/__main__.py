"""`python -m keeper`: the same command line as the `keeper` script, which lies on no path in some installations."""

from keeper.cli import main

if __name__ == "__main__":
    main()
