"""Entry point of `python -m zoo_build`."""

from zoo_build.build import main

if __name__ == "__main__":
    main()
