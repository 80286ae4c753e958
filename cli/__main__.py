"""`python -m cli`, which is what `./hookline` runs."""

from cli.main import main

if __name__ == "__main__":
    main()
