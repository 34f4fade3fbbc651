"""What words, codes and numbers of DICOM tags say. Teaching the product a habit is adding a word to a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product

SERIES, PROTOCOL, STUDY, SEQUENCE, AGENT = (
    "SeriesDescription",
    "ProtocolName",
    "StudyDescription",
    "SequenceName",
    "ContrastBolusAgent",
)
NAMES = (SERIES, PROTOCOL)
CODED = ("ImageType", "ScanOptions", "ScanningSequence")  # here a word is a whole value, not a part of a text

# what can be said, in the words of the report
NATIVE, ARTERIAL, PORTAL = "before contrast agent", "arterial phase", "portal venous phase"
DELAYED, HBP = "delayed phase", "hepatobiliary phase"
CONTRAST, NO_AGENT, GADOXETATE, OTHER_AGENT = "contrast agent given", "no agent", "gadoxetate", "not gadoxetate"
T1, T2, T2_STAR, DIFFUSION, ADC = "T1-weighted", "T2-weighted", "T2*-weighted", "diffusion", "an ADC map"
SUPPRESSED, NOT_SUPPRESSED, FAT_WORD = "fat suppressed", "not fat suppressed", "fat image or fat suppressed"
WATER, FAT, IN_PHASE, OPPOSED = "water image", "fat image", "in phase", "opposed phase"
DIXON, DUAL, MULTIECHO = "Dixon", "in and opposed phase together", "multi-echo gradient echo"
SPIN_ECHO, GRADIENT_ECHO, ECHO_PLANAR = "spin echo", "gradient echo", "echo planar"
LONG_ECHO, SHORT_ECHO = "too long for T1-weighting", "too short for T2-weighting"
NOTHING = ""  # for longer words that take away the meaning of a shorter one inside them

CONTRAST_PHASES = (ARTERIAL, PORTAL, DELAYED, HBP)
TIMINGS = (NATIVE, *CONTRAST_PHASES)
PARTS = (WATER, FAT, IN_PHASE, OPPOSED)


@dataclass(frozen=True)
class Row:
    """Words that say one thing, in some tags, strongly (a statement) or not (a hint that decides when nothing else does).

    Words are separated by ", " and compared without case, accents and full-width forms. A space stands for any
    separators or none ("fat sat": FatSat, fat_sat), "~" at the end for any ending, "$" for the end of the text.
    Where a word begins or ends with a letter no further letter follows, and the same of digits: "t1" is in "T1VIBE",
    "art" is not in "part". Of two rows the longer word wins: "ohne km" says before contrast agent and "km" inside it nothing.
    """

    says: str
    words: str
    tags: tuple[str, ...] = NAMES
    strong: bool = True
    modality: str = "CT MR"


@dataclass(frozen=True)
class Band:
    """Numbers that say one thing when every one of them lies in its range, ends included, and the sequence is of that kind."""

    says: str
    ranges: Mapping[str, tuple[float, float]]
    sequence: str = ""  # SPIN_ECHO | GRADIENT_ECHO | ECHO_PLANAR
    strong: bool = False
    verb: str = "suggests"


_GIVEN = (
    "contrast, contrast enhanced, enhanced, with contrast, w contrast, kontrast, kontrastmittel, km, mit km, m km, nach km, "
    "n km, post, post km, ce, ce t1, cect, c+, +c, gd, +gd, gad, gado, gadolinium, iv+, inj, injecte~, apres inj~, avec inj~, "
    "avec iv, apres gado~, avec contraste, contraste, con contraste, c/c, con civ, 造影, 造影後, 造影剤"
)
_T1_GRADIENT = (
    "vibe, star vibe, lava, thrive, e thrive, flash, fspgr, spgr, efgre, grasp, disco, 3d quick, quick 3d, tigre"
)

NONE_OF_OURS = (  # derived pictures and sequences that no phase stands for
    Row("a subtraction image", "sub, subs, subtr~, soustraction, sustraccion, 差分", (SERIES,)),
    Row("a subtraction image", "subtraction, subtract, sub", ("ImageType",)),
    Row("a projection", "mip, m ip, mini p, min ip, max ip, vrt, volume rendering", (SERIES,)),
    Row("a projection", "mip, min ip, minip, projection image, volume rendering", ("ImageType",)),
    Row("a localizer", "localizer, localiser, scout, topogram~, survey, surview, loc, reperage, 位置決め", (SERIES,)),
    Row("a localizer", "localizer", ("ImageType",)),
    Row("bolus tracking", "monitoring, premonitoring, pre monitoring, smart prep, test bolus, tracker", (SERIES,)),
    Row("a virtual image", "vnc, virtual non contrast, virtual native, virtuell nativ~, vue", NAMES, modality="CT"),
    Row("a virtual image", "vnc, virtual non contrast", ("ImageType",), modality="CT"),
    Row("an iodine map", "iodine~, iod map, jod~, iode, yodo, iodine map", (SERIES, "ImageType"), modality="CT"),
    Row("a perfusion map", "perfusion map, wash in, wash out, time to peak", (SERIES,)),
    Row("a fat fraction map", "fat fraction, fat frac, fatfrac, pdff, ff map, _ff$, fettfraktion", (SERIES,), modality="MR"),
    Row("a fat fraction map", "fraction graisse~, fraccion grasa, 脂肪率, 脂肪含有率", (SERIES,), modality="MR"),
    Row("a fat fraction map", "ff, fat fraction, pdff, water fraction", ("ImageType",), modality="MR"),
    Row("a relaxation map", "r2*, r2 star, r2s map, t2* map, t2 star map, t2*:, _t2*$, t2 star$", (SERIES,), modality="MR"),
    Row("a relaxation map", "t1 map~, t2 map~, t1 native map, molli, t1 rho, mapit", (SERIES,), modality="MR"),
    Row("a relaxation map", "r2 star, t2 star, r2 star map, t2 star map, t1 map, t2 map", ("ImageType",), modality="MR"),
    Row("a picture of the signal's phase", "p, phase, phase map, velocity", ("ImageType",), modality="MR"),
    Row("a real or imaginary part", "r, i, real, imaginary", ("ImageType",), modality="MR"),
    Row("an exponential ADC map", "e adc, exp adc, exponential adc, exponential apparent~", (SERIES,), modality="MR"),
    Row("an anisotropy map", "fa", ("ImageType",), modality="MR"),
    Row("an MRCP, in which the liver is dark", "mrcp, cholangio~, thick slab, radial slab", (SERIES,), modality="MR"),
    Row("a balanced steady-state image", "trufi~, tru fi~, true fisp, fiesta, b ffe, b tfe, balanced", modality="MR"),
    Row("a balanced steady-state image", "tfi~", (SEQUENCE,), modality="MR"),
    Row("an angiography", "tof, mra, time of flight, phase contrast, 4d flow", (SERIES,), modality="MR"),
    Row("an elastography", "mre, elastogra~, stiffness", (SERIES,), modality="MR"),
    Row("a map of the field", "b0 map, b1 map, field map", (SERIES,), modality="MR"),
)

ROWS = (
    *NONE_OF_OURS,
    # words that only look like ours
    Row(NOTHING, "pre op~, pre scan~, pre sat~, pre tace, pre rfa, pre sirt, pre ablation, pre treatment, pre transplant"),
    Row(NOTHING, "post op~, post proc~, post tace, post rfa, post sirt, post ablation, post treatment, post transplant"),
    Row(NOTHING, "w/o bh, w/o breath~, wo bh, w/o gating, w/o filter, w/o norm, without filter, c- spine, c- arm"),
    Row(NOTHING, "arterial spin~, portal hypertension, native space, water bath, water supp~, water sat~, deep resolve"),
    Row(NOTHING, "w wo, w/wo, w/ w/o, with and without, without and with, mit und ohne, ohne und mit, avec et sans"),
    Row(NOTHING, "sans et avec, con y sin, sin y con, pre post, pre and post, nativ und km, nativ km"),
    # when
    Row(NATIVE, "nativ~, natif, unenhanced, non enhanced, non contrast~, no contrast, without contrast, w/o contrast"),
    Row(NATIVE, "wo contrast, w/o, wo, without, without iv, w/o iv, pre, pre contrast, pre gd, pre gad~, pre km, pre inj~"),
    Row(NATIVE, "pre kontrast~, prakontrast~, praekontrast~, pre eob, pre dyn~, ncct, nect, c-, iv-, ohne km, ohne iv"),
    Row(NATIVE, "ohne kontrast~, o km, vor km, v km, sans inj~, ss inj~, sans iv, ss iv, sans contraste, sans gado~"),
    Row(NATIVE, "sans pdc, avant inj~, avant iv, avant gado~, avant contraste, sin contraste, s contraste, s/c, sin civ"),
    Row(NATIVE, "sin iv, sin gado~, fase basal, fase simple, 単純, 非造影, 造影なし, 造影無し, 造影前, プレーン"),
    Row(NATIVE, "plain, nc", modality="CT"),
    Row(ARTERIAL, "arterial, arteriel~, art, artphase, hap, late arterial, early arterial, late art, early art, lap, eap"),
    Row(ARTERIAL, "spatarteriel~, spaetarteriel~, fruharteriel~, frueharteriel~, 動脈相, 動脈優位相, 動脈後期相, 動脈早期相"),
    Row(ARTERIAL, "cta, ct angio~, 早期相", strong=False, modality="CT"),
    Row(PORTAL, "portal, portale~, portal venous, portovenous, porto venous, port ven, portal ven, portal vein phase, pv, pvp, vp"),
    Row(PORTAL, "portal venos~, portal venoes~, porto venos~, porto venoes~, portalphase, venous, venos~, venoes~, ven"),
    Row(PORTAL, "veineux, veineuse, porto veineu~, tps port, temps port, phase port, 門脈相, 門脈優位相, 門脈, 静脈相"),
    Row(DELAYED, "delayed, equilibrium, equilibr~, d equilibre, gleichgewicht~, spatphase, spaetphase, spate phase"),
    Row(DELAYED, "phase tardive, temps tardif, fase tardia, transitional, ubergangsphase, uebergangsphase"),
    Row(DELAYED, "excretory, excretora, ausscheidung~, 平衡相, 遅延相, 後期相, 移行相"),
    Row(DELAYED, "late, delay, tardif, tardive, tardia, tardio, spat, spaet", strong=False),  # also "arteriel tardif"
    Row(HBP, "hbp, hepatobiliary phase, hepatobiliare phase, phase hepatobiliaire, fase hepatobiliar, ged4", modality="MR"),
    Row(HBP, "hepatocyte phase, hepatocytic phase, hepatozyt~, 肝細胞相, 肝細胞造影相, 肝胆道相", modality="MR"),
    Row(HBP, "hepatobilia~, hepato bilia~, leberspezifisch~", (SERIES,), modality="MR"),  # a protocol names the organ
    Row(CONTRAST, _GIVEN, (SERIES,)),
    Row(CONTRAST, _GIVEN, (PROTOCOL,), strong=False),  # a protocol speaks of the whole examination
    Row(GADOXETATE, "primovist, eovist, eob, gadoxet~, プリモビスト, ガドキセト酸", (*NAMES, STUDY, AGENT), False, "MR"),
    Row(OTHER_AGENT, "gadovist, gadavist, gadobutrol, dotarem, clariscan, gadoter~, prohance, gadoteridol", (AGENT,), False),
    Row(OTHER_AGENT, "omniscan, magnevist, gadopent~, multihance, gadoben~, elucirem, vueway, gadopiclenol", (AGENT,), False),
    # weighting
    Row(T1, "t1, ax t1, axial t1, tra t1, cor t1, sag t1", modality="MR"),
    Row(T1, _T1_GRADIENT, modality="MR"),
    Row(T2, "t2, ax t2, axial t2, tra t2, cor t2, sag t2, haste, ss fse, ss tse, ssh tse, ssh, single shot", modality="MR"),
    Row(T2, "frfse, stir, tirm", modality="MR"),
    Row(T2_STAR, "t2*, t2 star, t2stern", modality="MR"),
    Row(SPIN_ECHO, "tse, fse, blade, propeller, multivane, spin echo, haste, ssfse, stir, tirm", modality="MR"),
    Row(SPIN_ECHO, "tse~, h2d, hir2d, spc~, tir~", (SEQUENCE,), modality="MR"),
    Row(SPIN_ECHO, "se", ("ScanningSequence",), modality="MR"),
    Row(GRADIENT_ECHO, f"gre, gradient echo, ffe, {_T1_GRADIENT}", modality="MR"),
    Row(GRADIENT_ECHO, "fl, fl2d, fl3d, fldyn3d", (SEQUENCE,), modality="MR"),
    Row(GRADIENT_ECHO, "gr", ("ScanningSequence",), modality="MR"),
    Row(ECHO_PLANAR, "ep", ("ScanningSequence",), modality="MR"),
    Row(SUPPRESSED, "fs, sfs, sg fs, fat sat~, fat supp~, sat fat, spair, spir, stir, tirm, proset, chess", modality="MR"),
    Row(SUPPRESSED, "water exc~, fettsat~, fett sat~, fettgesattigt, fettsupp~, fettunterdruck~, satgras~", modality="MR"),
    Row(SUPPRESSED, "sat gras~, saturation graisse~, suppression graisse~, sat grasa, sup grasa, supresion grasa", modality="MR"),
    Row(SUPPRESSED, "saturacion grasa, supresion de grasa, saturation de la graisse, 脂肪抑制", modality="MR"),
    Row(SUPPRESSED, "fs, sfs, fat sat, fatsat, spir, spair, stir", ("ScanOptions",), modality="MR"),
    Row(NOT_SUPPRESSED, "non fs, no fs, nfs, w/o fs, wo fs, without fs, ohne fs, o fs, sans fs, sin fs", modality="MR"),
    Row(NOT_SUPPRESSED, "non fat sat~, no fat sat~, w/o fat sat~, without fat sat~, ohne fat sat~, ohne fettsat~", modality="MR"),
    # diffusion
    Row(ADC, "adc, d adc, adc map, apparent diffusion~", modality="MR"),
    Row(ADC, "adc, adc map", ("ImageType",), modality="MR"),
    Row(DIFFUSION, "dwi, dwibs, e dwi, ivim, diff, diffusion~, difusion, trace, tracew, resolve, zoomit, 拡散", modality="MR"),
    Row(DIFFUSION, "b50, b100, b150, b200, b400, b500, b600, b700, b750, b800, b900, b1000, b1200", modality="MR"),
    Row(DIFFUSION, "diffusion, tracew, trace", ("ImageType",), modality="MR"),
    Row(DIFFUSION, "ep b, re b, ez b", (SEQUENCE,), modality="MR"),
    # Dixon and echoes
    Row(DIXON, "dixon, m dixon, lava flex, ideal", modality="MR"),
    Row(WATER, "water, wasser, eau, agua, 水画像, _w$, dixon w", modality="MR"),
    Row(WATER, "water, w", ("ImageType",), modality="MR"),
    Row(FAT, "fat:, _fat$, fat only, fat image, fat dixon, dixon fat, dixon f, flex fat, fettbild, 脂肪画像, _f$", modality="MR"),
    Row(FAT, "fat, f", ("ImageType",), modality="MR"),
    Row(FAT_WORD, "fat, fett, graisse, grasa, 脂肪", modality="MR"),
    Row(IN_PHASE, "in phase, in ph, _in$, _ip$, t1 ip, ax ip, dixon ip, dixon in, en phase, en fase, 同位相", modality="MR"),
    Row(IN_PHASE, "in phase, inphase, ip, in", ("ImageType",), modality="MR"),
    Row(OPPOSED, "opposed phase, opposed, opp phase, opp, out of phase, out phase, oop, _op$, _out$, t1 op, ax op", modality="MR"),
    Row(OPPOSED, "dixon op, dixon opp, gegenphase, opposition de phase, hors phase, fuera de fase, fase opuesta", modality="MR"),
    Row(OPPOSED, "phase opposee, 逆位相", modality="MR"),
    Row(OPPOSED, "opp phase, opposed phase, out phase, outphase, out of phase, op, opp", ("ImageType",), modality="MR"),
    Row(DUAL, "dual, dual echo, dual ffe, in opp, opp in, in opposed, in out, in opp phase, in out phase, out in", modality="MR"),
    Row(DUAL, "in and out, in and out of phase, in out of phase, in phase out phase, in phase out of phase", modality="MR"),
    Row(DUAL, "in and opposed phase, in and opp phase, in phase and out of phase, in phase opp phase, iop, ip op", modality="MR"),
    Row(MULTIECHO, "multi echo, multi echo dixon, ideal iq, liver lab, q dixon, m dixon quant, dixon quant", modality="MR"),
)

_INF = math.inf
HEAVILY_T2 = "so heavily T2-weighted that the liver is dark"
BANDS = (
    Band(HEAVILY_T2, {"EchoTime": (250.0, _INF)}, strong=True, verb="is"),
    Band(LONG_ECHO, {"EchoTime": (40.0, _INF)}, strong=True, verb="is"),
    Band(SHORT_ECHO, {"EchoTime": (0.1, 25.0)}, strong=True, verb="is"),
    Band(T2, {"EchoTime": (60.0, 250.0), "RepetitionTime": (800.0, _INF)}, SPIN_ECHO),
    Band(T1, {"EchoTime": (0.1, 8.0), "RepetitionTime": (1.0, 20.0), "FlipAngle": (8.0, 35.0)}, GRADIENT_ECHO),
    Band(T1, {"EchoTime": (0.1, 8.0), "RepetitionTime": (60.0, 300.0), "FlipAngle": (50.0, 95.0)}, GRADIENT_ECHO),
    Band(SUPPRESSED, {"InversionTime": (130.0, 250.0)}),
    Band(DIFFUSION, {"DiffusionBValue": (1.0, _INF)}, strong=True),
    Band(DIFFUSION, {"DiffusionBValue": (0.0, 1.0)}, ECHO_PLANAR),
    Band(MULTIECHO, {"NumberOfEchoes": (3.0, _INF)}, GRADIENT_ECHO, strong=True),
)
UNITS = {"EchoTime": " ms", "RepetitionTime": " ms", "InversionTime": " ms", "FlipAngle": " degrees"}
UNITS |= {"DiffusionBValue": " s/mm2", "NumberOfEchoes": ""}

# seconds from the start of the injection; between the bands nothing is said
DELAYS_S = {
    "CT": {ARTERIAL: (15.0, 45.0), PORTAL: (55.0, 100.0), DELAYED: (150.0, 600.0)},
    "MR": {ARTERIAL: (15.0, 40.0), PORTAL: (50.0, 90.0), DELAYED: (120.0, 600.0), HBP: (900.0, 2400.0)},
}

# what cannot both be true of one series
CONTRADICTIONS: tuple[tuple[str, str], ...] = (
    *combinations(TIMINGS, 2),
    *combinations(PARTS, 2),
    (NATIVE, CONTRAST),
    (T1, T2),
    (T1, LONG_ECHO),
    (T2, SHORT_ECHO),
    (T2, MULTIECHO),
    (T2, OPPOSED),
    (SUPPRESSED, NOT_SUPPRESSED),
    *product((T1, *PARTS), (DIFFUSION, ADC)),
    *product(CONTRAST_PHASES, (T2, LONG_ECHO, DIFFUSION, ADC, MULTIECHO)),  # a contrast phase is T1-weighted
)
