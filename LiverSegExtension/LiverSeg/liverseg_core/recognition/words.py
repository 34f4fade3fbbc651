"""What words, codes and numbers of DICOM tags say. Teaching the product a habit is adding a word to a row."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product

SERIES, PROTOCOL, STUDY = "SeriesDescription", "ProtocolName", "StudyDescription"
SEQUENCE, AGENT, ROUTE = "SequenceName", "ContrastBolusAgent", "ContrastBolusRoute"
NAMES = (SERIES, PROTOCOL)
TEXTS = (*NAMES, STUDY, SEQUENCE, AGENT, ROUTE)
CODED = ("ImageType", "ScanOptions", "ScanningSequence")  # here a word is a whole value, not a part of a text

# what can be said, in the words of the report
NATIVE, ARTERIAL, PORTAL = "before contrast agent", "arterial phase", "portal venous phase"
DELAYED, HBP, BEYOND = "delayed phase", "hepatobiliary phase", "later than any phase"
CONTRAST, NO_AGENT, GADOXETATE, OTHER_AGENT = "contrast agent given", "no agent", "gadoxetate", "not gadoxetate"
T1, T2, T2_STAR, DIFFUSION, ADC = "T1-weighted", "T2-weighted", "T2*-weighted", "diffusion", "an ADC map"
BY_MOUTH, BY_VEIN = "by mouth", "into a vein"
SUPPRESSED, NOT_SUPPRESSED, FAT_WORD = "fat suppressed", "not fat suppressed", "fat"
WATER, FAT, IN_PHASE, OPPOSED = "water image", "fat image", "in phase", "opposed phase"
DIXON, DUAL, MULTIECHO, DYNAMIC = "Dixon", "in and opposed phase", "multi-echo", "dynamic"
SPIN_ECHO, GRADIENT_ECHO, ECHO_PLANAR = "spin echo", "gradient echo", "echo planar"
LONG_ECHO, SHORT_ECHO = "too long for T1-weighting", "too short for T2-weighting"
HEAVILY_T2 = "so heavily T2-weighted that the liver is dark"
NOTHING = ""  # for words that take away the meaning of a shorter one inside them

CONTRAST_PHASES = (ARTERIAL, PORTAL, DELAYED, HBP)
TIMINGS = (NATIVE, *CONTRAST_PHASES)
PARTS = (WATER, FAT, IN_PHASE, OPPOSED)


@dataclass(frozen=True)
class Row:
    """Words that say one thing in some tags: a statement, or (not `strong`) a hint that decides when nothing else does.

    Words are separated by ", " and compared without case, accents and full-width forms. A space stands for any
    separators or none ("fat sat": FatSat, fat_sat), "_" for one, "~" for any ending, "$" for the end of the text.
    Letters must not run on in letters, nor digits in digits: "t1" is in "T1VIBE", "art" is not in "part".
    What lies inside a longer word says nothing: "ohne km" is before contrast agent, and "km" in it does not count.
    """

    says: str
    words: str
    tags: tuple[str, ...] = NAMES
    strong: bool = True


@dataclass(frozen=True)
class Band:
    """Numbers that say one thing when every one lies in its range, ends included, and the sequence is of that kind."""

    says: str
    ranges: Mapping[str, tuple[float, float]]
    sequence: str = ""  # SPIN_ECHO | GRADIENT_ECHO | ECHO_PLANAR
    strong: bool = False
    verb: str = "suggests"


_NAME, _IMAGE, _SEQUENCE, _KIND = (SERIES,), ("ImageType",), (SEQUENCE,), ("ScanningSequence",)
# fmt: off
# A line a language, where there are several: English, German, French, Spanish, Japanese.
_GIVEN = (
    "contrast~, with contrast~, w contrast~, w con, enhanced, post, ce, cect, c+, +c, gd, +gd, gad, gado, gadolinium, "
    "i v+, km, mit km, m km, nach km, n km, post km, kontrast, kontrastmittel, "
    "inj, injecte~, apres inj~, avec inj~, avec i v, apres gado~, avec contraste, "
    "con contraste, con civ, c/c, 造影, 造影後, 造影剤"
)
_T1_GRADIENT = "vibe, star vibe, lava, thrive, e thrive, flash, fspgr, spgr, efgre, grasp, disco, 3d quick, tigre"

_NOT_OURS = (  # derived pictures and sequences that no phase stands for
    Row("a subtraction image", "sub, subs, subtr~, soustr~, sustracc~, 差分", _NAME),
    Row("a subtraction image", "sub, subtract, subtraction", _IMAGE),
    Row("a projection", "m ip, min ip, max ip, vrt, volume rendering", _NAME),
    Row("a projection", "mip, min ip, minip, projection image, volume rendering", _IMAGE),
    Row("a localizer", "localizer, localiser, scout, topogram~, survey, surview, loc, reperage, 位置決め", _NAME),
    Row("a localizer", "localizer", _IMAGE),
    Row("bolus tracking", "monitoring, premonitoring, pre monitoring, smart prep, test bolus, tracker", _NAME),
    Row("a perfusion map", "perfusion map, wash in, wash out, time to peak", _NAME),
)
_CT_NOT_OURS = (
    Row("a virtual image", "vnc, virtual non contrast, virtual native, virtual unenhanced, virtuell nativ~, vue"),
    Row("a virtual image", "vnc, virtual non contrast", _IMAGE),
    Row("an iodine map", "iodine, jodkarte, jod map, carte iode", _NAME),
)
_MR_NOT_OURS = (
    Row("a fat fraction map", "fat fraction, fat frac, pdff, ff map, _ff$, _wf$, fettfraktion, "
                              "fraction graisse~, fraction de graisse, fraccion grasa, fraccion de grasa, 脂肪率", _NAME),
    Row("a fat fraction map", "ff, fat fraction, pdff, water fraction", _IMAGE),
    Row("a relaxation map", "r2*, r2 star, t2* map, t2 star map, t2*:, _t2*$, _t2star$, t1 map~, t2 map~, "
                            "t1 native map, molli, t1 rho", _NAME),
    Row("a relaxation map", "r2 star, t2 star, r2 star map, t2 star map, t1 map, t2 map", _IMAGE),
    Row("a picture of the signal's phase", "p, phase, phase map, velocity", _IMAGE),
    Row("a real or imaginary part", "r, i, real, imaginary", _IMAGE),
    Row("an exponential ADC map", "e adc, exp adc, exponential adc, exponential apparent~", _NAME),
    Row("an anisotropy map", "_fa$, fa map", _NAME),
    Row("an anisotropy map", "fa", _IMAGE),
    Row("an MRCP, in which the liver is dark", "mrcp, cholangio~, thick slab, radial slab", _NAME),
    Row("a balanced steady-state image", "trufi~, tru fi~, true fisp, fiesta, b ffe, b tfe, balanced"),
    Row("a balanced steady-state image", "tfi~", _SEQUENCE),
    Row("an angiography", "tof, mra, angio, time of flight, phase contrast, 4d flow", _NAME),
    Row("bolus tracking", "care bolus", _NAME),
    Row("an elastography", "mre, elastogra~, stiffness", _NAME),
)
NONE_OF_OURS = frozenset(row.says for row in (*_NOT_OURS, *_CT_NOT_OURS, *_MR_NOT_OURS)) | {HEAVILY_T2}

_WHEN = (
    Row(NOTHING, "pre op~, pre scan~, pre sat~, pre tace, pre tips, pre rfa, pre sirt, pre ablation, pre treatment, "
                 "pre transplant, pre liver, post op~, post proc~, post tace, post tips, post rfa, post sirt, "
                 "post ablation, post treatment, post transplant, native liver, native kidney~, native space, nach op, z n op, "
                 "portal hypertension, arterial spin~, w/o bh, w/o breath~, wo bh, w/o gating, w/o norm"),
    # several phases at once
    Row(NOTHING, "w wo, w/wo, w/ w/o, wo w, w/o w, w and wo, w and w/o, wo and w, w/o and w, with and without, "
                 "without and with, pre post, pre and post, pre und post, mit und ohne, ohne und mit, nativ und km, "
                 "avec et sans, sans et avec, con y sin, sin y con, art port, arterioportal, ap pv, ap pvp"),
    Row(NOTHING, "delay 25, delay 30, delay 35, delay 40, delay 60, delay 65, delay 70, delay 75, delay 80, delay 90"),
    Row(NATIVE, "native, unenhanced, non enhanced, non con~, no con~, without con~, w/o con~, wo con~, without, w/o, "
                "wo, without i v, w/o i v, _pre$, pre con~, pre gd, pre gad~, pre inj~, pre dyn~, pre eob, ncct, nect, "
                "c-, i v-, nativ~, ohne km, ohne i v, ohne i v km, ohne kontrast~, o km, vor km, v km, pre km, "
                "pre kontrast~, prakontrast~, praekontrast~, natif, sans inj~, ss inj~, sans i v, ss i v, "
                "sans contrast~, sans gado~, sans pdc, avant inj~, avant i v, avant gado~, avant contraste, "
                "sin contraste, s/contraste, s/c, sin civ, sin i v, sin gado~, fase basal, fase simple, "
                "単純, 非造影, 造影なし, 造影無し, 造影前, プレーン"),
    Row(ARTERIAL, "arterial, art, hap, lap, eap, late arterial, early arterial, dual arterial, "
                  "artphase, spatarteriel~, spaetarteriel~, fruharteriel~, frueharteriel~, arteriel~, "
                  "動脈相, 動脈優位相, 動脈後期相, 動脈早期相"),
    Row(PORTAL, "portal, portal ven~, portal vein, porto ven~, port ven, venous, ven, vein, pv, pvp, vp, "
                "venos~, venoes~, portalphase, portale~, veineu~, porto veineu~, tps port, temps port, phase port, "
                "門脈相, 門脈優位相, 静脈相"),
    Row(DELAYED, "delayed, equilibrium, transitional, excretory, spatphase, spaetphase, spate phase, gleichgewicht~, "
                 "ausscheidung~, ubergangsphase, uebergangsphase, phase tardive, temps tardif, equilibr~, d equilibre, "
                 "fase tardia, excretora, 平衡相, 遅延相, 後期相, 移行相"),
    # a hint: there is a late arterial phase ("arteriel tardif"), and "70 s delay" is the portal venous one
    Row(DELAYED, "late, delay, spat, spaet, tardif, tardive, tard, tardia, tardio", strong=False),
    Row(CONTRAST, _GIVEN, _NAME),
    Row(CONTRAST, _GIVEN, (PROTOCOL,), strong=False),  # a protocol speaks of the whole examination
    # ContrastBolusAgent itself is a hint of contrast, unless it says one of these
    Row(NO_AGENT, "no, non, none, nein, without, w/o, ohne, sans, sin, null, unknown", (AGENT,), strong=False),
    Row(BY_MOUTH, "oral~, per os, po, peroral, rectal, gastrografin, barium~", (AGENT, ROUTE), strong=False),
    Row(BY_VEIN, "i v, intraven~", (AGENT, ROUTE), strong=False),
)
_CT_WHEN = (
    Row(NATIVE, "plain, nc"),
    Row(NOTHING, "c- spine, c- arm"),
    Row(ARTERIAL, "cta, ct angio~, 早期相", strong=False),
)
_MR_WHEN = (
    Row(NATIVE, "pre"),  # in CT it may be before an operation
    Row(PORTAL, "port"),  # in CT it may be one for infusions
    Row(DYNAMIC, "dyn, dynam~, ダイナミック"),
    Row(HBP, "hbp, hepatobiliary phase, hepatocyte phase, hepatocytic phase, ged4, hepatobiliare phase, hepatozyt~, "
             "phase hepatobiliaire, fase hepatobiliar, 肝細胞相, 肝細胞造影相, 肝胆道相"),
    Row(HBP, "hepatobilia~, hepato bilia~, leberspezifisch~", _NAME),  # in a protocol it is the organ
    Row(GADOXETATE, "primovist, eovist, eob, gadoxet~, プリモビスト, ガドキセト酸", (*NAMES, STUDY, AGENT)),
    Row(OTHER_AGENT, "gadovist, gadavist, gadobutrol, dotarem, clariscan, gadoter~, prohance, omniscan, magnevist, "
                     "gadopent~, multihance, gadoben~, elucirem, vueway, gadopiclenol", (AGENT,)),
)
_WEIGHTING = (
    Row(T1, f"t1, t1 w, ax t1, ax t1 w, axial t1, tra t1, cor t1, sag t1, {_T1_GRADIENT}"),
    Row(T2, "t2, t2 w, ax t2, ax t2 w, axial t2, tra t2, cor t2, sag t2, haste, ss fse, ss tse, ssh tse, ssh, "
            "single shot, frfse, stir, tirm"),
    Row(T2_STAR, "t2*, t2 star, t2stern"),
    Row(SPIN_ECHO, "tse, fse, blade, propeller, multivane, spin echo, haste, ss fse, stir, tirm"),
    Row(SPIN_ECHO, "tse~, h2d, hir2d, spc~, tir~", _SEQUENCE),
    Row(SPIN_ECHO, "se", _KIND),
    Row(GRADIENT_ECHO, f"gre, gradient echo, ffe, {_T1_GRADIENT}"),
    Row(GRADIENT_ECHO, "fl, fl2d, fl3d, fldyn3d", _SEQUENCE),
    Row(GRADIENT_ECHO, "gr", _KIND),
    Row(ECHO_PLANAR, "ep", _KIND),
    Row(SUPPRESSED, "fs, sfs, sg fs, fat sat~, fat supp~, sat fat, spair, spir, aspir, stir, tirm, proset, chess, "
                    "water exc~, fettsat~, fett sat~, fettgesattigt, fettsupp~, fettunterdruck~, satgras~, sat gras~, "
                    "saturation graisse~, saturation de la graisse, suppression graisse~, suppression de la graisse, "
                    "sat grasa, sup grasa, supresion grasa, supresion de grasa, saturacion grasa, 脂肪抑制"),
    Row(SUPPRESSED, "fs, sfs, fat sat, fatsat, spir, spair, stir", ("ScanOptions",)),
    Row(NOT_SUPPRESSED, "non fs, no fs, nfs, w/o fs, wo fs, without fs, non fat sat~, no fat sat~, w/o fat sat~, "
                        "without fat sat~, ohne fs, o fs, ohne fat sat~, ohne fettsat~, sans fs, sans fat sat~"),
    Row(NOTHING, "water bath, water supp~, water sat~, deep resolve"),  # the last is a reconstruction
    Row(ADC, "adc, d adc, adc map, apparent diffusion~"),
    Row(ADC, "adc, adc map", _IMAGE),
    Row(DIFFUSION, "dwi, dwibs, e dwi, ivim, diff, diffusion~, difusion, trace, tracew, resolve, zoomit, 拡散, "
                   "b 50, b 100, b 150, b 200, b 400, b 500, b 600, b 700, b 750, b 800, b 900, b 1000, b 1200"),
    Row(DIFFUSION, "diffusion, tracew, trace", _IMAGE),
    Row(DIFFUSION, "ep b, re b, ez b, dwi~", _SEQUENCE),
)
_DIXON = (
    Row(DIXON, "dixon, m dixon, lava flex, ideal, water fat, fat water"),
    Row(WATER, "water, _w$, dixon w, wasser, eau, agua, 水画像"),
    Row(WATER, "water, w", _IMAGE),
    Row(FAT, "fat:, fat only, fat image, _f$, dixon f, fettbild, 脂肪画像"),
    Row(FAT, "fat, f", _IMAGE),
    Row(FAT_WORD, "fat, fett, graisse, grasa, 脂肪"),
    Row(IN_PHASE, "in phase, in ph, _in$, _ip$, t1 ip, ax ip, dixon ip, en phase, en fase, 同位相"),
    Row(IN_PHASE, "in phase, inphase, ip, in", _IMAGE),
    Row(OPPOSED, "opposed phase, opposed, opp phase, opp, out of phase, out phase, oop, _op$, _out$, t1 op, ax op, "
                 "gegenphase, opposition de phase, phase opposee, hors phase, fuera de fase, fase opuesta, 逆位相"),
    Row(OPPOSED, "opp phase, opposed phase, out phase, outphase, out of phase, op, opp", _IMAGE),
    Row(DUAL, "dual, dual echo, dual ffe, in opp, opp in, in opposed, opposed in, in out, out in, in opp phase, "
              "in out phase, in and out, in and out of phase, in and opp, in und opp, in out of phase, "
              "in phase out phase, in phase out of phase, in phase and out of phase, in phase opp phase, iop, ip op"),
    Row(MULTIECHO, "multi echo, multi echo dixon, ideal iq, liver lab, q dixon, m dixon quant, dixon quant"),
)
# fmt: on
ROWS = {
    "CT": (*_NOT_OURS, *_CT_NOT_OURS, *_WHEN, *_CT_WHEN),
    "MR": (*_NOT_OURS, *_MR_NOT_OURS, *_WHEN, *_MR_WHEN, *_WEIGHTING, *_DIXON),
}

_INF = math.inf
_SHORT = (0.1, 8.0)
_DOSE = Band(CONTRAST, {"ContrastBolusVolume": (1.0, _INF)})
BANDS = {
    "CT": (_DOSE,),
    "MR": (
        _DOSE,
        Band(HEAVILY_T2, {"EchoTime": (250.0, _INF)}, strong=True, verb="makes it"),
        Band(LONG_ECHO, {"EchoTime": (40.0, _INF)}, strong=True, verb="is"),
        Band(SHORT_ECHO, {"EchoTime": (0.1, 25.0)}, strong=True, verb="is"),
        Band(T2, {"EchoTime": (60.0, 250.0), "RepetitionTime": (800.0, _INF)}, SPIN_ECHO),
        Band(T1, {"EchoTime": _SHORT, "RepetitionTime": (1.0, 20.0), "FlipAngle": (8.0, 35.0)}, GRADIENT_ECHO),
        Band(T1, {"EchoTime": _SHORT, "RepetitionTime": (60.0, 300.0), "FlipAngle": (50.0, 95.0)}, GRADIENT_ECHO),
        Band(SUPPRESSED, {"InversionTime": (130.0, 250.0)}),
        Band(DIFFUSION, {"DiffusionBValue": (1.0, _INF)}, strong=True),
        Band(DIFFUSION, {"DiffusionBValue": (0.0, 1.0)}, ECHO_PLANAR),
        Band(MULTIECHO, {"NumberOfEchoes": (3.0, _INF)}, GRADIENT_ECHO, strong=True),
    ),
}
UNITS = {"EchoTime": " ms", "RepetitionTime": " ms", "InversionTime": " ms", "FlipAngle": " degrees"}
UNITS |= {"DiffusionBValue": " s/mm2", "NumberOfEchoes": "", "ContrastBolusVolume": " ml"}

# seconds from the start of the injection; between the bands nothing is said
DELAYS_S = {
    "CT": {ARTERIAL: (15.0, 45.0), PORTAL: (55.0, 100.0), DELAYED: (150.0, 600.0), BEYOND: (2400.1, _INF)},
    "MR": {
        ARTERIAL: (15.0, 40.0),
        PORTAL: (50.0, 90.0),
        DELAYED: (120.0, 600.0),
        HBP: (900.0, 2400.0),
        BEYOND: (2400.1, _INF),
    },
}
_TIME_UNITS = {  # seconds -> how a name writes them
    1: "s, sec, secs, sek, seg, second, seconds, seconde, secondes, sekunden, segundos, '', \", 秒",
    60: "min, mins, minute, minutes, minuten, minutos, mn, ', 分",
    3600: "h, hr, hrs, std, heure, heures, hora, horas, 時間",
}
TIME_UNITS_S = {unit: seconds for seconds, units in _TIME_UNITS.items() for unit in units.split(", ")}

CONTRADICTIONS: tuple[tuple[str, str], ...] = (  # what cannot both be true of one series
    *combinations(TIMINGS, 2),
    *combinations(PARTS, 2),
    (NATIVE, CONTRAST),
    *product(CONTRAST_PHASES, (BEYOND,)),
    (T1, T2),
    (T1, LONG_ECHO),
    (T2, SHORT_ECHO),
    (T2, MULTIECHO),
    (T2, OPPOSED),
    (SUPPRESSED, NOT_SUPPRESSED),
    *product((T1, *PARTS), (DIFFUSION, ADC)),
    *product(CONTRAST_PHASES, (T2, LONG_ECHO, DIFFUSION, ADC, MULTIECHO)),  # a contrast phase is T1-weighted
)


def plain(text: str) -> str:
    """Without case, accents and full-width forms, and "InPhase" in two words."""
    text = unicodedata.normalize("NFKD", text)
    text = "".join(c for c in text if not "\u0300" <= c <= "\u036f")  # the accents of Latin; Japanese keeps its own
    return unicodedata.normalize("NFC", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).casefold()


@cache
def pattern(words: str) -> re.Pattern[str]:
    """The words of a row as one expression for plain text, the longest first."""
    return re.compile("|".join(_expression(word) for word in sorted(words.split(", "), key=len, reverse=True)))


def _expression(word: str) -> str:
    core = word.rstrip("~$")
    body = "".join({" ": r"[\W_]*", "_": r"[\W_]"}.get(letter, re.escape(letter)) for letter in core)
    end = {"~": "[a-z]*", "$": r"[\W_]*$"}.get(word[-1]) or f"(?!{_runs_on(core[-1])})"
    return f"(?<!{_runs_on(core[0])}){body}{end}"


def _runs_on(edge: str) -> str:
    """What must not follow, or go before, the edge of a word; Japanese words have no edges."""
    kinds = (
        {"-": "[a-z0-9]"} | dict.fromkeys("0123456789", "[0-9]") | dict.fromkeys("abcdefghijklmnopqrstuvwxyz", "[a-z]")
    )
    return kinds.get(edge, r"[^\s\S]")
