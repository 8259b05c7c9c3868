"""Maps four of the top-level folders onto one import package.

`infer/` is `xray_infer` itself; `train/`, `export/` and `benchmarks/` are its subpackages. The packages
are found rather than listed: an explicit list silently leaves a new subpackage out of the wheel.
"""

from setuptools import find_packages, setup

FOLDERS = {
    "xray_infer": "infer",
    "xray_infer.train": "train",
    "xray_infer.export": "export",
    "xray_infer.benchmarks": "benchmarks",
}

packages = [
    package
    for root, folder in FOLDERS.items()
    for package in (
        root,
        *(f"{root}.{name}" for name in find_packages(folder, exclude=["studies", "studies.*"])),
    )
]

setup(
    package_dir=FOLDERS,
    packages=packages,
    package_data={
        "xray_infer": ["py.typed"],
        "xray_infer.images": ["files/*"],
        "xray_infer.model": ["files/*"],
        "xray_infer.outputs.page": ["page.*", "shell.*"],
        "xray_infer.export": ["measured.json"],
        "xray_infer.benchmarks.reporting": ["page.css"],
    },
)
