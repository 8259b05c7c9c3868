"""The edge of the commands: words that name a command, help in sections, and what reaches the user."""

import io
import os
import subprocess
import sys

import click
import pytest
from approved import approved
from click.testing import CliRunner

from xray_infer.cli import main
from xray_infer.terminal import DefaultGroup, first_word, hide_native_output

SAYS = approved("xray-infer")

PROGRAM = """
import os, sys
import click
from xray_infer.terminal import hide_native_output
os.write(2, b"library before\\n")
try:
    with hide_native_output():
        os.write(2, b"library within\\n")
        os.system("echo child within >&2")
        print("person within", file=sys.stderr)
        click.echo("click within: \u00e9", err=True)
        raise KeyError
except KeyError:
    print("person after", file=sys.stderr)
os.write(2, b"library after\\n")
print(len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else "", end="")
"""


def test_libraries_are_silent_and_messages_are_not():
    plain = "import os\n" + PROGRAM.splitlines()[-1]
    before = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stderr.splitlines() == [
        "library before",
        "person within",
        "click within: é",
        "person after",
        "library after",
    ]
    assert done.stdout == before.stdout  # no descriptor is left open


def test_a_stream_that_is_no_descriptor_stays_as_it_is(monkeypatch):
    memory = io.StringIO()
    monkeypatch.setattr(sys, "stderr", memory)
    with hide_native_output():
        assert sys.stderr is memory
        print("message", file=sys.stderr)
        os.write(2, b"library\n")
    assert memory.getvalue() == "message\n"
    monkeypatch.setattr(sys, "stderr", None)
    with hide_native_output():
        assert sys.stderr is None


def test_damaged_files_print_nothing(capfd):
    cv2 = pytest.importorskip("cv2")
    np = pytest.importorskip("numpy")
    from hostile_bytes import good_files

    def decode_damaged() -> None:
        for _, data in good_files().values():
            cv2.imdecode(np.frombuffer(data[: len(data) // 2] + b"\xff\xd9", np.uint8), cv2.IMREAD_UNCHANGED)

    decode_damaged()
    assert capfd.readouterr().err != ""  # or this test would show nothing
    with hide_native_output():
        decode_damaged()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("merge shards", "merge"),
        ("--debug merge shards", "merge"),
        ("--out merge films", "films"),
        ("--out=merge films", "films"),
        ("--no-recursive films merge", "films"),
        ("--workers 2 --debug - merge", "-"),
        ("--debug -- merge", None),
        ("--debug", None),
        ("--out", None),
        ("", None),
    ],
)
def test_the_first_word_is_neither_an_option_nor_its_value(arguments, word):
    given = arguments.split()
    place = first_word(main, given)
    assert (None if place is None else given[place]) == word


@pytest.mark.parametrize("before", [[], ["--debug"]])
def test_merge_is_a_command_wherever_its_options_stand(tmp_path, before):
    given = [*before, "merge", str(tmp_path), "--out", str(tmp_path / "m.csv")]
    if not before:
        result = CliRunner().invoke(main, given)
        assert (result.exit_code, result.stderr) == (
            2,
            SAYS["xray-infer-merge-no"].format(tmp_path=tmp_path),
        )
        return
    with pytest.raises(Exception, match=SAYS["no-shards-of-xray"]):
        CliRunner().invoke(main, given, catch_exceptions=False)


def test_merge_takes_its_options_from_its_own_variables(tmp_path):
    out = str(tmp_path / "m.xyz")
    (tmp_path / "plan.json").write_text("{}")
    given = {"XRAY_INFER_MERGE_OUT": out, "XRAY_INFER_OUT": "other.csv"}
    result = CliRunner().invoke(main, ["merge", str(tmp_path)], env=given)
    assert SAYS["no-shards-of-xray"] in result.stderr  # and not: Missing option '--out'
    result = CliRunner().invoke(main, ["merge", str(tmp_path)], prog_name="xray-infer")
    assert result.exit_code == 2
    assert result.stderr.startswith(SAYS["usage-xray-infer-merge"])


def test_a_folder_named_merge_is_given_with_its_place(folder, tiny_onnx, monkeypatch):
    monkeypatch.chdir(folder.parent)
    folder.rename(folder.parent / "merge")
    result = CliRunner().invoke(main, ["./merge", "--model", str(tiny_onnx), "--out", "-"])
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 6


def test_the_help_is_in_sections_and_names_the_other_command():
    text = CliRunner().invoke(main, ["--help"], prog_name="xray-infer").stdout
    assert text.startswith("Usage: xray-infer [OPTIONS] [SOURCE]\n")
    titles = [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == [
        "Source",
        "Results",
        "Model",
        SAYS["heat-maps-page-and"],
        "Uncertain and rejected images",
        "Speed",
        "Many machines",
        "Limits and damaged files",
        "Other options",
        "Commands",
    ]
    for parameter in main.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in text
            assert parameter.help, parameter.opts
            assert parameter.help.endswith("."), parameter.opts
    assert SAYS["merge-make-one-file"] in text


def test_a_group_finds_its_command_behind_options_of_the_default():
    @click.command("fit")
    @click.argument("data")
    @click.option("--debug", is_flag=True)
    @click.option("--out")
    def fit(**given):
        click.echo(" ".join(["fit", *(f"{name}={given[name]}" for name in sorted(given))]))

    @click.command("split")
    @click.argument("data")
    @click.option("--debug", is_flag=True)
    def split(**given):
        click.echo(" ".join(["split", *(f"{name}={given[name]}" for name in sorted(given))]))

    group = DefaultGroup("train", commands=[fit, split], default_command="fit")
    for arguments, expected in (
        ("x --out y", "fit data=x debug=False out=y"),
        ("--out split x", "fit data=x debug=False out=split"),
        ("--debug split x", "split data=x debug=True"),
        ("split x", "split data=x debug=False"),
    ):
        result = CliRunner().invoke(group, arguments.split())
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{expected}\n"
