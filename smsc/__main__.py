"""`python -m smsc`: the command line."""

from smsc.cli import main

if __name__ == '__main__':
    main()
