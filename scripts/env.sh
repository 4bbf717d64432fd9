# Sourced by the Makefile's recipes: the virtual environment, ROS and, once built, this package.
export VIRTUAL_ENV="$PWD/.venv" PATH="$PWD/.venv/bin:$PATH"
if [ -f .venv/setup.bash ]; then . .venv/setup.bash; fi
if [ -f install/setup.bash ]; then . install/setup.bash; fi
