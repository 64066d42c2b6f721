"""Any two folders of images, as source and target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from otbench.errors import UsageError
from otbench.interface import Dataset, ImageDataset, ImagePair, Split, parameter
from otbench_datasets.images.folder import Folder, list_images


@dataclass
class FolderPair(Dataset):
    """The images of two folders, unpaired, each read and split as by `folder`.

    If both have sub-folders of the same names, these are the modes and give the labels; otherwise
    there are no labels.
    """

    source: str = parameter("", "folder of the source; required")
    target: str = parameter("", "folder of the target; required")
    size: int = parameter(32, "side of the images in pixels", low=1)
    gray: bool = parameter(False, "convert colour to gray")

    title: ClassVar[str] = "Two image folders of your own: folder-pair[source=PATH,target=PATH]"
    name: ClassVar[str] = "folder-pair"

    def load(self) -> ImagePair:
        """Read both folders; see `otbench.interface.Dataset.load`."""
        places = self.source, self.target
        if not all(places):
            raise UsageError(f"{self.name} needs two folders: {self.name}[source=PATH,target=PATH]")
        sides = [Folder(place, self.size, self.gray).load() for place in places]
        names = [list_images(Path(place).expanduser())[1] for place in places]
        if names[0] != names[1]:
            sides = [without_labels(side) for side in sides]
        variant = "-to-".join(Path(place).expanduser().resolve().name for place in places)
        gray = "-gray" if self.gray else ""
        return ImagePair(self.name, f"{variant}-{self.size}{gray}", *sides)


def without_labels(data: ImageDataset) -> ImageDataset:
    """Return the images without their labels."""
    train, validation, test = (
        Split(part.images) for part in (data.train, data.validation, data.test)
    )
    return replace(data, train=train, validation=validation, test=test, classes=None)
