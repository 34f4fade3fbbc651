"""One measurement in a process of its own: `python _peers.py JOB.json` prints one line of JSON.

Each way reads the scan from disk and writes a mask; imports and building the network do not count. A network with a
`limit` computes that many windows and answers the others with zeros: their time is added from those that were computed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from liverseg_core.networks.unet3d import joined
from torch import nn

WIDTHS = (32, 64, 128, 256, 320, 320)  # of nnU-Net's plain network: 31.2 million parameters
LABELS = 3
Job = dict[str, Any]


class NnUNetLike(nn.Module):
    """Two convolutions a level, strided, instance normalisation; a list of logits, as networks of LiverSeg answer."""

    def __init__(self) -> None:
        super().__init__()
        self.lean = False
        self.encoder = nn.ModuleList(
            nn.Sequential(*_layer(i, o, 1 if n == 0 else 2), *_layer(o, o))
            for n, (i, o) in enumerate(zip((1, *WIDTHS), WIDTHS))
        )
        self.lift = nn.ModuleList(nn.ConvTranspose3d(coarse, fine, 2, 2) for fine, coarse in zip(WIDTHS, WIDTHS[1:]))
        self.decoder = nn.ModuleList(nn.Sequential(*_layer(2 * w, w), *_layer(w, w)) for w in WIDTHS[:-1])
        self.head = nn.Conv3d(WIDTHS[0], LABELS, 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        skips = []
        for level in self.encoder:
            for layer in level:
                x = layer(x)
            skips.append(x)
        skips.pop()
        for depth in reversed(range(len(skips))):
            convolution, *others = self.decoder[depth]
            x = joined(self.lift[depth], convolution, x, skips, lean=self.lean)
            for layer in others:
                x = layer(x)
        return [self.head(x)]


def _layer(inward: int, outward: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv3d(inward, outward, 3, stride, 1),
        nn.InstanceNorm3d(outward, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    ]


class Windows(nn.Module):
    """The finest logits; counts and times the windows, and computes only `limit` of them (None: all)."""

    def __init__(self, network: nn.Module, limit: int | None) -> None:
        super().__init__()
        self.network, self.limit = network, limit
        self.seen, self.seconds, self._zeros = 0, 0.0, torch.empty(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        if self.limit is not None and self.seen > self.limit:
            return self._zeros
        began = time.perf_counter()
        answer: torch.Tensor = self.network(x)[0]
        self.seconds += time.perf_counter() - began
        self._zeros = torch.zeros_like(answer)
        return answer

    def missing_s(self) -> float:
        computed = self.seen if self.limit is None else min(self.seen, self.limit)
        return self.seconds / max(computed, 1) * (self.seen - computed)


def nnunet(job: Job) -> tuple[Callable[[], None], Windows]:
    """nnU-Net v2's own reading, preprocessing, predictor and export."""
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    network = Windows(network_of(job), job["limit"])
    plans = PlansManager(_plans(job))
    settings = plans.get_configuration("3d_fullres")
    labels = {"background": 0, **{f"label {n}": n for n in range(1, 1 + _labels(job))}}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz", "numTraining": 1}
    predictor = nnUNetPredictor(0.5, True, job["mirrored"], False, torch.device("cpu"), allow_tqdm=False)  # noqa: FBT003
    predictor.manual_initialization(network, plans, settings, None, dataset, "nnUNetTrainer", (0, 1, 2))
    step = DefaultPreprocessor(verbose=False)

    def work() -> None:
        data, _, facts = step.run_case([job["scan"]], None, plans, settings, dataset)
        with torch.inference_mode():
            logits = predictor.predict_sliding_window_return_logits(torch.as_tensor(data, dtype=torch.float32)).cpu()
        mask = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, plans, settings, predictor.label_manager, facts, num_threads_torch=torch.get_num_threads()
        )
        SimpleITKIO().write_seg(mask.astype(np.uint8), job["out"], facts)

    return work, network


def monai(job: Job) -> tuple[Callable[[], None], Windows]:
    """MONAI's dictionary transforms, its sliding window in float32 and Invertd."""
    from monai.inferers import sliding_window_inference
    from monai.transforms import AsDiscreted, Compose, Invertd, SaveImaged

    before = _monai_transforms(job)
    network = Windows(network_of(job), job["limit"])
    folder = Path(job["out"]).parent
    after = Compose([
        Invertd("pred", before, "image", nearest_interp=False, to_tensor=True),
        AsDiscreted("pred", argmax=True),
        SaveImaged("pred", output_dir=folder, output_postfix="mask", separate_folder=False, output_dtype=np.uint8, print_log=False),
    ])  # fmt: skip

    def work() -> None:
        data = before({"image": job["scan"]})
        with torch.inference_mode():
            x = data["image"][None]
            data["pred"] = sliding_window_inference(x, job["patch"][::-1], 1, _turned(network), 0.5, "gaussian")[0]
        after(data)
        (folder / Path(job["scan"]).name.replace(".nii.gz", "_mask.nii.gz")).replace(job["out"])

    return work, network


def two_step(job: Job) -> tuple[Callable[[], None], Windows]:
    """As TotalSegmentator does it: cubic resampling, coarse, crop, fine in float32 tiles that overlap by half."""
    import SimpleITK as sitk
    from monai.inferers import sliding_window_inference
    from scipy.ndimage import zoom

    coarse, network = shipped().networks[0], Windows(network_of(job), job["limit"])

    def seen(voxels: np.ndarray, spacing_mm: np.ndarray, new_mm: float, multiple: int) -> torch.Tensor:
        scaled = (zoom(voxels.astype(np.float32), spacing_mm / new_mm, order=3) - 50.0) / 100.0
        return torch.from_numpy(np.pad(scaled, [(0, -n % multiple) for n in scaled.shape], mode="minimum"))[None, None]

    def work() -> None:
        image = sitk.ReadImage(job["scan"])
        voxels, spacing_mm = sitk.GetArrayFromImage(image), np.array(image.GetSpacing()[::-1])
        with torch.inference_mode():
            small = seen(voxels, spacing_mm, 6.0, 8)
            found = np.argwhere(coarse(small)[0][0].argmax(dim=0).numpy() > 0) * 6.0 / spacing_mm
            margin = 18.0 / spacing_mm
            low = np.clip(np.floor(found.min(axis=0) - margin), 0, None).astype(int)
            high = np.minimum(np.ceil(found.max(axis=0) + margin).astype(int), voxels.shape)
            box = tuple(slice(a, b) for a, b in zip(low, high))
            fine = seen(voxels[box], spacing_mm, job["spacing_mm"], 1)
            answer = sliding_window_inference(fine, job["patch"], 1, network, 0.5, "gaussian")
        codes = answer[0].argmax(dim=0).numpy().astype(np.uint8)
        mask = np.zeros(voxels.shape, np.uint8)
        mask[box] = zoom(codes, np.divide(high - low, codes.shape), order=0)
        out = sitk.GetImageFromArray(mask)
        out.CopyInformation(image)
        sitk.WriteImage(out, job["out"], useCompression=True)

    return work, network


def alike(job: Job) -> tuple[Callable[[], None], Windows]:
    """The same stages on the same blocks without what makes them fast: the network as it was trained, in float32, by
    MONAI's inferer, and ITK's interpolation of every logit of the whole scan."""
    import SimpleITK as sitk
    from liverseg_core.geometry import as_image, bounding_block
    from liverseg_core.preparation import grown, prepare
    from liverseg_core.reading import read_scan
    from liverseg_core.records import LabelMask, Logits
    from liverseg_core.restoration import decided
    from liverseg_core.segments import clean
    from monai.inferers import sliding_window_inference

    model = shipped()

    def look(scan: Any, stage: Any, network: nn.Module, found: Any) -> tuple[Logits, LabelMask]:
        prepared = prepare([scan], stage, found)
        with torch.inference_mode():
            whole = tuple(prepared.tensor.shape[2:])
            answer = sliding_window_inference(prepared.tensor, whole, 1, lambda x: network(x)[0])
        logits = Logits(answer[0], prepared.grid, stage.labels)  # type: ignore[index]
        return logits, clean(decided(logits, stage.sure), stage.post)

    def work() -> None:
        scan, found = read_scan(Path(job["scan"]), "ct_portal"), None
        for stage, network in zip(model.card.stages, model.networks):
            logits, seen = look(scan, stage, network, found)
            wider = grown(found, seen, scan.grid, stage) if found is not None else None
            if wider is not None:
                logits, seen = look(scan, stage, network, wider)
            found = bounding_block(seen.voxels > 0, seen.grid)
        winner = _winner(logits, scan)
        mask = clean(LabelMask(winner, scan.grid), stage.post)
        sitk.WriteImage(as_image(mask.voxels, mask.grid), job["out"], useCompression=True)

    return work, Windows(nn.Identity(), None)


def _winner(logits: Any, scan: Any) -> np.ndarray:
    """The code with the largest logit at every voxel of the scan, each logit interpolated by itself."""
    import SimpleITK as sitk
    from liverseg_core.geometry import as_image

    whole = as_image(scan.voxels, scan.grid)
    best, winner = np.full(scan.voxels.shape, -np.inf, np.float32), np.zeros(scan.voxels.shape, np.uint8)
    for channel, code in enumerate((0, *logits.labels)):
        values = as_image(logits.tensor[channel].numpy(), logits.grid)
        beyond = -1e3 if code else 1e3
        here = sitk.GetArrayFromImage(sitk.Resample(values, whole, sitk.Transform(), sitk.sitkLinear, beyond))
        ahead = here > best
        winner[ahead], best[ahead] = code, here[ahead]
    return winner


def ours(job: Job) -> tuple[Callable[[], None], Windows]:
    """The corridor of LiverSeg without its report: what the other ways do, and no more."""
    from dataclasses import replace

    import SimpleITK as sitk
    from liverseg_core import preparation
    from liverseg_core.ahead import ready
    from liverseg_core.geometry import as_image
    from liverseg_core.memory import keep_freed_memory
    from liverseg_core.models import Model
    from liverseg_core.reading import read_scan
    from liverseg_core.stages import drawn
    from liverseg_core.walk import Walk

    keep_freed_memory()
    model = shipped()
    if job["network"] == "large":
        changes = {"spacing_mm": (job["spacing_mm"],) * 3, "labels": (1, 3), "snap": (32, 32, 32), "post": {}}
        fine = replace(model.card.stages[1], window=tuple(job["patch"]), **changes)
        preparation.grown = lambda *_: None  # random weights draw everywhere: nothing was cut, whatever it touches
        model = Model(replace(model.card, stages=(model.card.stages[0], fine)), (model.networks[0], network_of(job)))
    model = ready(model)

    def work() -> None:
        mask = drawn(read_scan(Path(job["scan"]), "ct_portal"), model, "standard", job["device"], Walk()).mask
        sitk.WriteImage(as_image(mask.voxels, mask.grid), job["out"], useCompression=True)

    return work, Windows(nn.Identity(), None)


def shipped() -> Any:
    from liverseg_core.library import BUNDLE, DEFAULT_MODEL
    from liverseg_core.models import load_model

    return load_model(BUNDLE / DEFAULT_MODEL)


def network_of(job: Job) -> nn.Module:
    """The shipped fine stage, or the large network with the random weights of seed 0."""
    if job["network"] == "shipped":
        fine: nn.Module = shipped().networks[1]
        return fine
    torch.manual_seed(0)
    return NnUNetLike().eval()


def _labels(job: Job) -> int:
    return 4 if job["network"] == "shipped" else LABELS - 1


def _plans(job: Job) -> Job:
    """What nnU-Net's planner would have written, with the normalisation that the shipped model was trained with."""
    resample = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "dataset_name": "benchmark", "plans_name": "plans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "experiment_planner_used": "none",
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": 50.0, "std": 100.0, "percentile_00_5": -125.0, "percentile_99_5": 275.0}
        },
        "configurations": {"3d_fullres": {
            "data_identifier": "benchmark", "preprocessor_name": "DefaultPreprocessor", "batch_size": 1,
            "patch_size": job["patch"], "spacing": [job["spacing_mm"]] * 3, "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False], "architecture": {"network_class_name": "", "arch_kwargs": {}, "_kw_requires_import": []},
            "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": resample,
            "resampling_fn_seg": "resample_data_or_seg_to_shape", "resampling_fn_seg_kwargs": {**resample, "is_seg": True, "order": 1},
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape", "resampling_fn_probabilities_kwargs": {**resample, "order": 1},
        }},
    }  # fmt: skip


def _monai_transforms(job: Job) -> Any:
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, ScaleIntensityRanged, Spacingd

    return Compose([
        LoadImaged("image"), EnsureChannelFirstd("image"), Orientationd("image", axcodes="LPS", labels=None),
        Spacingd("image", pixdim=(job["spacing_mm"],) * 3, mode="bilinear"),
        ScaleIntensityRanged("image", a_min=-125.0, a_max=275.0, b_min=-1.75, b_max=2.25, clip=True),
    ])  # fmt: skip


def _turned(network: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """MONAI holds [i, j, k], the networks were trained on [k, j, i]."""
    return lambda x: network(x.permute(0, 1, 4, 3, 2).contiguous()).permute(0, 1, 4, 3, 2)


WAYS = {"ours": ours, "alike": alike, "nnunet": nnunet, "monai": monai, "two_step": two_step}


def peak_mb() -> float:
    """The most this process held. `getrusage` would begin at what the process that started it held."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    import warnings

    warnings.simplefilter("ignore")
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    work, network = WAYS[job["way"]](job)
    took = []
    for _ in range(job["repeat"]):
        network.seen, network.seconds = 0, 0.0
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began + network.missing_s())
    print(json.dumps({"seconds": min(took), "peak_mb": peak_mb(), "windows": network.seen}))


if __name__ == "__main__":
    main()
