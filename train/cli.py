"""The command `xray-train`."""

from pathlib import Path
import click

@click.group()
def main() -> None:
    pass

@main.command("pretrain")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--epochs", default=20, show_default=True)
@click.option("--small-epochs", default=8, show_default=True)
@click.option("--seed", default=0, show_default=True)
def pretrain_command(archive, out, epochs, small_epochs, seed):
    from xray_infer.train.pretrain import PretrainConfig, pretrain
    pretrain(archive, out, PretrainConfig(epochs=epochs, small_epochs=small_epochs, seed=seed), report=lambda line: click.echo(line, err=True))
