"""What every command takes."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("--config", help="The agent's configuration file (edge.toml).")]
