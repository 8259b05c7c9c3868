"""The fuzz harness, by its seeds alone: it must know a good input, and a bad one."""

import fuzz_decode
import pytest

from xray_infer.errors import ImageError
from xray_infer.images.dicom import pixels

pytestmark = pytest.mark.filterwarnings("ignore")


def test_every_seed_passes():
    found = list(fuzz_decode.seeds())
    assert len(found) > 150
    for data in found:
        fuzz_decode.one_input(data)


def test_the_harness_fails_on_other_exceptions_and_on_much_memory(monkeypatch):
    seed = next(data for data in fuzz_decode.seeds() if data[128:132] == b"DICM")

    def stumbles(*arguments):
        raise KeyError("not ours")

    monkeypatch.setattr(pixels, "check_size", stumbles)
    with pytest.raises(KeyError):
        fuzz_decode.one_input(seed)

    def refuses(*arguments):
        raise ImageError("as it should")

    monkeypatch.setattr(pixels, "check_size", refuses)
    fuzz_decode.one_input(seed)
    monkeypatch.setattr(fuzz_decode, "MOST_GROWTH_MB", -1)
    with pytest.raises(AssertionError, match="took"):
        fuzz_decode.one_input(seed)
