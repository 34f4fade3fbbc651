"""What qSlicerCoreIOManager does for slicer.util: which reader a file name asks for, reading, writing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import slicer
import vtk

READERS = (
    ((".seg.nrrd", ".seg.nhdr", ".seg.vtm"), "SegmentationFile"),
    ((".mrml", ".mrb"), "SceneFile"),
    ((".csv", ".tsv"), "TableFile"),
    ((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"), "VolumeFile"),
    ((".stl", ".obj", ".ply", ".vtk", ".vtp"), "ModelFile"),
    ((".h5", ".tfm"), "TransformFile"),
    ((".mrk.json",), "MarkupsFile"),
    ((".txt", ".json"), "TextFile"),
)
WRITERS = {
    "vtkMRMLSegmentationNode": "SegmentationFile",
    "vtkMRMLTableNode": "TableFile",
    "vtkMRMLModelNode": "ModelFile",
    "vtkMRMLTextNode": "TextFile",
}


class FileManager:
    """Loads and saves through the logics and storage nodes of the wheel."""

    def fileType(self, path: str) -> str:
        lower = str(path).lower()
        return next((kind for endings, kind in READERS if lower.endswith(endings)), "NoFile")

    def fileWriterFileType(self, node: Any, *_: Any) -> str:
        return WRITERS.get(node.GetClassName(), "VolumeFile")

    def addDefaultStorageNodes(self) -> None:
        pass

    def loadNodes(self, kind: str, properties: Mapping[str, Any], nodes: Any = None, messages: Any = None) -> bool:
        path = Path(properties["fileName"])
        if not path.exists():
            if messages is not None:
                messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"File does not exist: {path}")
            return False
        if kind == "SceneFile":
            return self.loadScene(str(path), bool(properties.get("clear")))
        node = self._read(kind, path, properties)
        if node is not None and nodes is not None:
            nodes.AddItem(node)
        return node is not None

    def _read(self, kind: str, path: Path, properties: Mapping[str, Any]) -> Any:
        modules, name = slicer.modules, properties.get("name") or ""
        stem = path.name.split(".")[0]
        if kind == "VolumeFile":
            flags = [bool(properties.get(key)) for key in ("labelmap", "center", "singleFile")]
            options = sum(flag << bit for bit, flag in enumerate(flags))
            return modules.volumes.logic().AddArchetypeVolume(str(path), name or stem, options)
        if kind == "SegmentationFile":
            opacities = bool(properties.get("autoOpacities", True))
            return modules.segmentations.logic().LoadSegmentationFromFile(str(path), opacities, name)
        if kind == "TableFile":
            return modules.tables.logic().AddTable(str(path), name or stem)
        if kind == "SequenceFile":
            return self._sequence(path, name or stem)
        if kind == "ModelFile":
            return modules.models.logic().AddModel(str(path))
        raise NotImplementedError(f"the lab has no reader for {kind}")

    def _sequence(self, path: Path, name: str) -> Any:
        """With a browser and the volume that it shows, as Slicer's reader leaves them."""
        logic = slicer.modules.sequences.logic()
        node = logic.AddSequence(str(path))
        if node is None:
            return None
        node.SetName(name)
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
        browser.SetAndObserveMasterSequenceNodeID(node.GetID())
        logic.UpdateProxyNodesFromSequences(browser)
        return node

    def loadScene(self, path: str, clear: bool = True, messages: Any = None) -> bool:
        scene = slicer.mrmlScene
        if path.endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear))
        scene.SetURL(path)
        scene.SetRootDirectory(str(Path(path).parent))
        return bool(scene.Connect() if clear else scene.Import())

    def saveNodes(self, kind: str, properties: Mapping[str, Any], messages: Any = None) -> bool:
        if kind == "SceneFile":
            return self.saveScene(properties["fileName"])
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(properties["fileName"])
        if "useCompression" in properties:
            storage.SetUseCompression(int(bool(properties["useCompression"])))
        return bool(storage.WriteData(node))

    def saveScene(self, path: str, picture: Any = None, messages: Any = None) -> bool:
        scene = slicer.mrmlScene
        if path.endswith(".mrb"):
            return bool(scene.WriteToMRB(path, None))
        scene.SetURL(path)
        scene.SetRootDirectory(str(Path(path).parent))
        return bool(scene.Commit())
