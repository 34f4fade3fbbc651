"""Tags as scanners of five languages write them, and the phase that a radiologist would read from them."""

from __future__ import annotations

import random

import pytest
from liverseg_core.errors import InputError
from liverseg_core.phases import PHASES
from liverseg_core.recognition import DECISIONS, recognise, words
from phantoms import SHARED
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

Set = dict[str, object]

T1_3T: Set = {"ScanningSequence": "GR", "EchoTime": 1.23, "RepetitionTime": 3.97, "FlipAngle": 9.0}
T2_TSE: Set = {"ScanningSequence": "SE", "EchoTime": 86.0, "RepetitionTime": 3200.0, "FlipAngle": 150.0}
HASTE: Set = {"ScanningSequence": "SE", "EchoTime": 92.0, "RepetitionTime": 1400.0, "SequenceName": "*h2d1_144"}
EPI: Set = {"ScanningSequence": ("EP", "SE"), "EchoTime": 58.0, "RepetitionTime": 5200.0, "SequenceName": "*ep_b400t"}


def ct(series: str = "", **tags: object) -> Set:
    image_type = ("ORIGINAL", "PRIMARY", "AXIAL")
    return {"Modality": "CT", "SeriesDescription": series, "ImageType": image_type, "KVP": 120.0, **tags}


def mr(series: str = "", *image_type: str, **tags: object) -> Set:
    image_type = ("ORIGINAL", "PRIMARY", *(image_type or ("M", "NORM")))
    return {"Modality": "MR", "SeriesDescription": series, "ImageType": image_type, **tags}


def bolus(start: str, acquisition: str, agent: str = "Ultravist 370", **tags: object) -> Set:
    return {
        "ContrastBolusAgent": agent,
        "ContrastBolusStartTime": start,
        "AcquisitionTime": acquisition,
        **tags,
    }


CT_SETS: dict[str, list[Set]] = {
    "ct_native": [
        ct("Abdomen nativ 5.0 B30s"),  # B30s is a kernel
        ct("Leber_nativ 3.0 Br40 S3", ProtocolName="02_Leber_3Phasen (Adult)"),
        ct("ABD WO 5MM", Manufacturer="GE MEDICAL SYSTEMS"),
        ct("W/O CONTRAST"),
        ct("NON-CON ABDOMEN", ProtocolName="1.1 ABD NON CONTRAST"),
        ct("Non_Contrast 2.0"),
        ct("ABD UNENHANCED", ContrastBolusAgent="ORAL", ContrastBolusRoute="ORAL"),
        ct("AXIAL SANS INJECTION"),
        ct("ABDO SANS IV 1.25"),
        ct("SANS IDC", ProtocolName="Foie sans injection"),
        ct("TAC ABD SIN CONTRASTE"),
        ct("ABDOMEN S/C"),
        ct("ohne KM 5.0 I31f 3"),
        ct("Abd. o. KM"),
        ct("腹部単純 5mm"),
        ct("ＡＢＤ　単純"),
        ct("PRE CONTRAST", ContrastBolusAgent="OMNIPAQUE 350"),  # the agent of the whole examination
        ct("C- 5.0 axial"),
        ct("Nativ", **bolus("101500", "101200")),  # contrast came three minutes later
        ct("NCCT Liver"),
        ct("Abdomen C- ", ProtocolName="Abdomen C- C+"),
    ],
    "ct_arterial": [
        ct("Arterial 1.0 Br36"),
        ct("ART 5MM", Manufacturer="GE MEDICAL SYSTEMS"),
        ct("Leber art. 3.0 B30f"),
        ct("arteriell", ProtocolName="Leber nativ art pv"),  # the protocol speaks of the examination
        ct("ABDO ARTÉRIEL 1.25"),
        ct("Temps artériel tardif"),  # late arterial, not delayed
        ct("FASE ARTERIAL"),
        ct("Fase arterial tardía"),
        ct("造影 動脈相"),
        ct("動脈後期相 5mm"),  # late arterial: 後期相 alone is the delayed phase
        ct("Late Arterial Phase 2.5mm"),
        ct("LIVER HAP 3mm"),
        ct("Abdomen 35s", ContrastBolusAgent="APPLIED"),
        ct("Spätarteriell 3.0"),
        ct("CTA Abdomen 1.0 Bv40"),
        ct("Body 3.0", **bolus("101500.00", "101530.25")),
    ],
    "ct_portal": [
        ct("Portal Venous 5.0 Br40"),
        ct("Abdomen portalvenös 5.0 I31f"),
        ct("Abd venoes"),
        ct("PV 70s 3.0"),
        ct("PORTO-VENÖS"),
        ct("Leber pv 2.0", ContrastBolusAgent="Imeron 350"),
        ct("TEMPS PORTAL"),
        ct("TPS PORT 1.25"),
        ct("Phase veineuse portale"),
        ct("FASE VENOSA PORTAL"),
        ct("FASE PORTAL 2MM"),
        ct("門脈相 5mm"),
        ct("造影門脈優位相"),
        ct("Abd/Pel 70 sec"),
        ct("ABDOMEN 70''"),
        ct("Venous Phase", ProtocolName="6.3 TRIPHASIC LIVER ARTERIAL PORTAL DELAYED"),
        ct("PVP 1.25mm"),
        ct("VP 5mm STD"),
        ct("70s delay"),  # the delay is the word for the time, too
        ct("Abdomen_70s_B20f"),
        ct("Body 5.0", **bolus("101500", "101612.5")),
        ct("over midnight", **bolus("235930", "000040")),
        # a real series: weekday, hospital and all else left out
        ct("CT Body 3.0", ProtocolName="FDG_TK_KM", **bolus("140216.694022", "140352.457000", "APPLIED")),
    ],
    "ct_delayed": [
        ct("Delayed 3.0"),
        ct("DELAY 5MIN"),
        ct("Spätphase 5.0 B30s"),
        ct("Spaetphase"),
        ct("spät 3 min"),
        ct("TARDIF"),
        ct("Temps tardif 5mn"),
        ct("Fase tardía"),
        ct("EQUILIBRIO"),
        ct("Equilibrium phase 180s"),
        ct("平衡相"),
        ct("遅延相 3分"),
        ct("3 min post"),
        ct("Gleichgewichtsphase"),
        ct("Excretory 5.0"),
        ct("Body", **bolus("101500", "101820")),
    ],
    "ct_unknown": [
        ct(),
        ct("Abdomen 5.0 B30s"),
        ct("Abdomen 5.0 I45s 3"),
        ct("Portable Abdomen"),
        ct("State 5.0 part 2, restart"),
        ct("Artefaktreduktion iMAR 3.0"),
        ct("Alternative recon"),
        ct("CT Abdomen KM", ContrastBolusAgent="Ultravist 370"),
        ct("Abdomen", ContrastBolusAgent="NONE"),
        ct("ABD W WO", ContrastBolusAgent="ISOVUE 370"),
        ct("arterial and portal"),
        ct("Arteriell", ProtocolName="Leber portalvenös"),
        ct("NATIV", ProtocolName="Abdomen PV"),
        ct("Portal 30s"),
        ct("nativ", **bolus("101500", "101612")),
        ct("Nativ nach KM"),
        ct("Subtraction arterial-native"),
        ct("Arterial MIP 10mm"),
        ct("VNC portal venous"),
        ct("Premonitoring"),
        ct("Monitoring arterial"),
        ct("Topogram 0.6 T20f"),
        ct("Abdomen", **bolus("101500", "101548")),  # between arterial and portal
        ct("Body", ContrastBolusStartTime="101500", AcquisitionTime=""),
        ct("CTA", **bolus("101500", "101612")),  # two hints that differ
        ct("post OP Kontrolle"),
        ct("Abdomen", ContrastBolusAgent="Gastrografin", ContrastBolusRoute="ORAL"),
        ct("Iodine map portal"),
        ct("C-Spine 2.0"),
        ct("20 min", ContrastBolusAgent="Ultravist"),
        ct("delay 60"),  # seconds: the portal venous phase, but not said
        ct("AP/PV"),
        ct("W/O AND W"),
        ct("Pre liver transplant"),
        ct("Native kidneys"),
        ct("Spätvenös"),
        ct("portal hypertension"),
    ],
}

MR_SETS: dict[str, list[Set]] = {
    "mr_t1_native": [
        mr("t1_vibe_fs_tra_bh_pre", **T1_3T),
        mr("T1 VIBE nativ tra", **T1_3T),
        mr("Ax LAVA PRE", Manufacturer="GE MEDICAL SYSTEMS"),
        mr("eTHRIVE_pre", "M_FFE", "M", "FFE", Manufacturer="Philips Medical Systems"),
        mr("AX T1 FS PRE GD", ContrastBolusAgent="Dotarem"),
        mr("T1 3D FS SANS INJECTION"),
        mr("T1 VIBE FS SIN CONTRASTE"),
        mr("T1強調 脂肪抑制 造影前"),
        mr("T1VIBE ohne KM"),
        mr("pre EOB t1_vibe_fs_tra", StudyDescription="MRT Leber Primovist"),
        mr("dyn pre", **T1_3T),
        mr("BHAxLAVA pre"),
        mr("AX T1 W/O", ProtocolName="LIVER W WO"),
        mr("t1_fl2d_tra_nativ", ScanningSequence="GR", EchoTime=2.46, RepetitionTime=180.0, FlipAngle=70.0),
    ],
    "mr_t1_in": [
        mr("t1_vibe_dixon_tra_bh_in", "M", "DIXON", "IN_PHASE"),
        mr("t1_fl2d_tra_bh_in", **T1_3T),
        mr("InPhase: Ax LAVA-Flex", "IN_PHASE"),
        mr("mDIXON", "IP", "IP", Manufacturer="Philips Medical Systems"),
        mr("AX T1 IN PHASE", EchoTime=4.2),
        mr("T1 en phase"),
        mr("T1 en fase ax"),
        mr("T1 同位相"),
        mr("T1 dual FFE", EchoTime=4.6, MagneticFieldStrength=1.5),
        mr("t1_fl2d_in-opp_tra", EchoTime=2.38, MagneticFieldStrength=3.0, NumberOfEchoes=1),
        mr("Ax IN/OUT FSPGR", EchoTime=4.4, MagneticFieldStrength=1.5),
        mr("AX DUAL ECHO T1", EchoTime=2.3, MagneticFieldStrength=2.8936),
    ],
    "mr_t1_opposed": [
        mr("t1_vibe_dixon_tra_bh_opp", "M", "DIXON", "OPP_PHASE"),
        mr("t1_fl2d_opp-in_tra_opp", **T1_3T),
        mr("OutPhase: Ax LAVA-Flex", "OUT_PHASE"),
        mr("mDIXON-All BH", "OP", "OP"),
        mr("AX T1 OUT OF PHASE"),
        mr("T1 opposition de phase"),
        mr("T1 fuera de fase"),
        mr("T1 Gegenphase"),
        mr("逆位相 T1"),
        mr("T1 dual", EchoTime=2.3, MagneticFieldStrength=1.5),
        mr("t1_fl2d_in-opp_tra", EchoTime=1.23, MagneticFieldStrength=3.0),
        mr("T1 in opp tra", EchoTime=3.5, MagneticFieldStrength=3.0),  # one and a half turns
        mr("OutPhase: IDEAL IQ (20sec BH)"),
    ],
    "mr_water": [
        mr("t1_vibe_dixon_tra_bh_W", "M", "DIXON", "WATER"),
        mr("t1_vibe_dixon_tra_pre_W", "DIXON", "WATER"),
        mr("WATER: Ax LAVA-Flex", "WATER"),
        mr("mDIXON_W", "W", "W"),
        mr("t1_vibe_q-dixon_tra_bh_W", "DIXON", "WATER"),
        mr("WATER: IDEAL IQ", "WATER"),
        mr("WATER: Ax LAVA Flex +C", "WATER", ContrastBolusAgent="Gadavist"),
        mr("", "DIXON", "WATER"),
        mr("水画像"),
    ],
    "mr_fat": [
        mr("t1_vibe_dixon_tra_bh_F", "M", "DIXON", "FAT"),
        mr("FAT: Ax LAVA-Flex", "FAT"),
        mr("mDIXON_F", "F", "F"),
        mr("FAT: IDEAL IQ"),
        mr("t2_tse_dixon_tra_F", "DIXON", "FAT", **T2_TSE),
        mr("t1_vibe_dixon_tra_art_F", "DIXON", "FAT"),
    ],
    "mr_t1_arterial": [
        mr("t1_vibe_fs_tra_art", **T1_3T),
        mr("Ax LAVA ARTERIAL"),
        mr("WATER: Ax LAVA-Flex arterial", "WATER"),
        mr("eTHRIVE_arteriell", "M_FFE", "M", "FFE"),
        mr("t1_vibe_dixon_tra_art_W", "DIXON", "WATER"),
        mr("DYN T1 ARTÉRIEL"),
        mr("T1 FASE ARTERIAL"),
        mr("dynamic 動脈相 EOB"),
        mr("dynamic(30s)_vibe_fs_tra_2mm"),
        mr("STAR VIBE post 20s", **T1_3T),
        mr("t1_vibe_fs_tra", **T1_3T, **bolus("101500", "101525", "Gadovist")),
        mr("Dual arterial LAVA", EchoTime=2.2, MagneticFieldStrength=3.0),
    ],
    "mr_t1_portal": [
        mr("VIBE dixon post 70s_W", "DIXON", "WATER"),
        mr("Dixon fat sat T1 portal"),
        mr("mDIXON port"),
        mr("vibe-twist_dixon_tra_50-60s_TTC=3.4s_W"),
        mr("t1_vibe_fs_tra_pv", **T1_3T),
        mr("Ax LAVA PORTAL VENOUS"),
        mr("eTHRIVE venös"),
        mr("T1 FS portal", ContrastBolusAgent="Dotarem"),
        mr("T1 VIBE FASE PORTAL"),
        mr("T1 FS 門脈相"),
        mr("Ax LAVA post 60 sec"),
        mr("t1_vibe_dyn_post70s", **T1_3T),
        mr("mDIXON portal", "W", "W"),
        mr("t1_vibe_fs_tra_bh_15s_portalvenös"),  # the breath-hold takes 15 s
        mr("t1_vibe_fs_tra", **T1_3T, **bolus("101500", "101610", "Gadovist")),
        mr("T1 temps portal", ProtocolName="DYN T1 3D"),
    ],
    "mr_t1_delayed": [
        mr("t1_vibe_fs_tra_delayed", **T1_3T),
        mr("Ax LAVA 5 MIN DELAY"),
        mr("WATER_BHAxLAVA-Flex-2min", "WATER"),
        mr("T1 VIBE Spätphase"),
        mr("T1 FS TARDIF 5mn"),
        mr("T1 平衡相"),
        mr("T1 equilibrio"),
        mr("Ax LAVA transitional", ContrastBolusAgent="Eovist"),
        mr("t1_vibe_fs_tra_3min", ContrastBolusAgent="PRIMOVIST"),
        mr("eTHRIVE late", **T1_3T),
    ],
    "mr_t1_hbp": [
        mr("t1_vibe_fs_tra_HBP", **T1_3T),
        mr("t1_vibe_fs_tra_20min", ContrastBolusAgent="Primovist"),
        mr("Ax LAVA DELAYED 20 MIN", ContrastBolusAgent="EOVIST"),
        mr("HEPATOBILIARY PHASE LAVA"),
        mr("T1 leberspezifische Phase"),
        mr("T1 phase hépatobiliaire"),
        mr("T1 VIBE fase hepatobiliar"),
        mr("EOB 肝細胞相 20分"),
        mr("dynamic(15min)_vibe_fs_tra_2mm", StudyDescription="MRI EOB"),
        mr("t1_vibe_dixon_hbp_W", "DIXON", "WATER"),
        mr("t1_vibe_fs_tra", **T1_3T, **bolus("101500", "103510", "gadoxetate disodium")),
        mr("eTHRIVE 20min gadoxetate"),
        mr("eTHRIVE gadoxetate 20 min"),
        mr("Ax T1 ＨＢＰ", ContrastBolusAgent="EOB・プリモビスト"),
    ],
    "mr_t2": [
        mr("t2_haste_tra_bh", **HASTE),
        mr("T2W_TSE", "M_SE", "M", "SE"),
        mr("AX T2 SSFSE BH"),
        mr("t2_blade_tra", **T2_TSE),
        mr("sT2W_SSh"),
        mr("T2 HASTE CORONAL"),
        mr("T2強調"),
        mr("T2 TSE sans FS"),
        mr("T2 PROPELLER w/o FS"),
        mr("BLADE tra", **T2_TSE),
        mr("Ax", ScanningSequence=("SE",), EchoTime=90.0, RepetitionTime=2500.0),
        mr("t2_tse_dixon_tra_in", "DIXON", "IN_PHASE", **T2_TSE),
        mr("t2_haste_tra_20s", **HASTE, ContrastBolusAgent="Primovist"),  # twenty seconds of breath-hold
        mr("AXT2FRFSE"),
    ],
    "mr_t2fs": [
        mr("t2_tse_spair_tra", **T2_TSE),
        mr("t2_haste_fs_tra", **HASTE),
        mr("T2FS BLADE"),
        mr("T2W_SPIR_RT", "M_SE", "M", "SE"),
        mr("AX T2 FATSAT"),
        mr("AX FRFSE-XL FS RTr"),
        mr("t2_tirm_tra", **T2_TSE),
        mr("STIR_long TE"),
        mr("eT2W_SPAIR SENSE"),
        mr("T2 SG FS PROPELLER"),
        mr("T2 FAT SAT sans inj"),
        mr("T2 con supresión grasa"),
        mr("T2 TSE fettgesättigt"),
        mr("T2強調脂肪抑制"),
        mr("t2_tse_tra", **T2_TSE, ScanOptions=("PFP", "FS")),
        mr("T2 TSE ax", **T2_TSE, InversionTime=160.0),
        mr("WATER: AX T2 FSE IDEAL", "WATER"),
        mr("t2_tse_dixon_tra_W", "DIXON", "WATER", **T2_TSE),
        mr("t2_tse_fs_tra_post KM", **T2_TSE),  # T2 between the dynamic and the hepatobiliary phase
        mr("Ax", ScanningSequence="SE", EchoTime=90.0, RepetitionTime=2500.0, ScanOptions="FS"),
    ],
    "mr_dwi": [
        mr("ep2d_diff_b50_400_800_TRACEW", "DIFFUSION", "TRACEW", **EPI),
        mr("DWI_b800", DiffusionBValue=800.0),
        mr("RESOLVE tra b50", "DIFFUSION"),
        mr("ZOOMit_diff_tra", **EPI),
        mr("Ax DWI 500", Manufacturer="GE MEDICAL SYSTEMS"),
        mr("DWIBS", **EPI),
        mr("diffusion axiale"),
        mr("Difusión b 600"),
        mr("拡散強調 b800"),
        mr("Ax", DiffusionBValue=400.0, ScanningSequence=("EP", "SE"), EchoTime=60.0, RepetitionTime=4000.0),
        mr("Ax EPI", DiffusionBValue=0.0, ScanningSequence=("EP", "SE"), EchoTime=60.0, RepetitionTime=4000.0),
        mr("Ax", **EPI),
        mr("DWI T2 b0", DiffusionBValue=0.0),
        mr("tra", SequenceName="DwiSE", ScanningSequence="SE", EchoTime=70.0, RepetitionTime=2500.0),
    ],
    "mr_adc": [
        mr("ep2d_diff_b50_400_800_ADC", "DIFFUSION", "ADC", **EPI),
        mr("dADC", "ADC"),
        mr("ADC (10^-6 mm²/s)"),
        mr("Apparent Diffusion Coefficient (mm2/s)"),
        mr("dReg - DWI_b800 ADC map"),
        mr("Carte ADC diffusion"),
        mr("RESOLVE_ADC", ProtocolName="resolve_diff_tra"),
    ],
    "mr_multiecho": [
        mr("t1_vibe_multi-echo_tra", ScanningSequence="GR", NumberOfEchoes=6),
        mr("IDEAL IQ", ScanningSequence="GR", EchoTime=1.2),
        mr("LiverLab q-Dixon tra"),
        mr("mDIXON Quant", "M_FFE", "M", "FFE"),
        mr("gre tra 12 echoes", ScanningSequence=("GR",), NumberOfEchoes=12),
        mr("T2* multi echo GRE", NumberOfEchoes=8, ScanningSequence="GR"),
        mr("t2_star_gre", NumberOfEchoes=8, ScanningSequence="GR"),
    ],
    "mr_unknown": [
        mr(),
        mr("t1_vibe_fs_tra", **T1_3T),
        mr("t1_vibe_fs_tra_post", **T1_3T, ContrastBolusAgent="Dotarem"),
        mr("Ph2/Ax LAVA", TemporalPositionIdentifier=2, NumberOfTemporalPositions=4, TriggerTime=35000.0),
        mr("Leber nativ"),  # T1 or T2
        mr("portal", ProtocolName="T1 arteriell"),
        mr("t1_vibe_art_pv"),
        mr("T1 tse tra", EchoTime=90.0, RepetitionTime=3000.0),
        mr("T2 tra", EchoTime=1.6, RepetitionTime=4.0),
        mr("T1 and T2 tra"),
        mr("t1_vibe_tra_SUB_portal", "SUB"),
        mr("Subtraktion portalvenös"),
        mr("soustraction artériel"),
        mr("FatFrac: IDEAL IQ"),
        mr("PDFF", "FF"),
        mr("t1_vibe_q-dixon_tra_FF", "DIXON", "FAT_FRACTION"),
        mr("R2*: IDEAL IQ"),
        mr("T2* map"),
        mr("T2 star map", "T2_STAR MAP"),
        mr("T2*: IDEAL IQ"),
        mr("T2* GRE"),
        mr("T1 map MOLLI"),
        mr("t2_space_cor_MRCP", EchoTime=700.0, RepetitionTime=2500.0, ScanningSequence="SE"),
        mr("t2_haste_thick slab", EchoTime=800.0),
        mr("t2_spc_cor", EchoTime=702.0, RepetitionTime=2400.0, ScanningSequence="SE"),
        mr("t2_trufi_cor", EchoTime=1.6, RepetitionTime=3.8),
        mr("Cor FIESTA"),
        mr("eADC"),
        mr("Exponential Apparent Diffusion Coefficient"),
        mr("t1_vibe_minIP_portal"),
        mr("t1_vibe_tra_portal", "P"),
        mr("gre_tra", "PHASE MAP", "P"),
        mr("localizer"),
        mr("t1_fl2d_in-opp_tra", EchoTime=1.23, MagneticFieldStrength=3.0, NumberOfEchoes=2),  # holds both
        mr("T1 dual", EchoTime=2.3),  # at which field?
        mr("AX T1 in phase", "OPP_PHASE"),
        mr("t1_vibe_fs_tra_pre", **T1_3T, **bolus("101500", "101610", "Gadovist")),
        mr("t1_vibe_tra_20min", ContrastBolusAgent="Gadovist"),
        mr("t1_vibe_fs_tra", **T1_3T, **bolus("101500", "103510", "Dotarem")),
        mr("tra", ContrastBolusAgent="Primovist"),
        mr("LAVA", ProtocolName="MRI HEPATOBILIARY"),  # the organ, not the phase
        mr("T2 TSE Dixon tra"),
        mr("AX T2 FAT"),
        mr("T2 fs non fs"),
        mr("DWI T1 vibe"),
        mr("t1_vibe_dixon_tra_opp", "DIXON", "WATER"),
        mr("T1 vibe Deep Resolve", **T1_3T),
        mr("t1_vibe_bh_18s", **T1_3T),
        mr("t1_vibe_post_bh_20s", **T1_3T),
        mr("t1_vibe_35s_breath-hold", **T1_3T),
        mr("tra", **bolus("101500", "101610", "Gadovist")),  # of which weighting?
        mr("tra", ScanningSequence=("EP", "SE"), EchoTime=70.0, RepetitionTime=5000.0),  # echo planar, so not T2
        mr("T1 VIBE 18s", **T1_3T),  # so long is a breath-hold, too
        mr("vibe TTC=19.2s", **T1_3T),  # to the centre of k-space
        mr("T1 VIBE ART-PORT"),
        mr("mDIXON tardif 2h"),
        mr("LAVA 120min"),
        mr("vibe dixon fat portal"),
        mr("vibe_q-dixon_tra_WF"),
        mr("Water Fat Separation"),
        mr("Care_Bolus"),
        mr("ep2d_diff_FA", "DIFFUSION", "FA", **EPI),
        mr("tse tra"),
        mr("Arterial Spin Labeling"),
        mr("ADC", ProtocolName="T1 VIBE"),
        mr("T2 arterial"),
        mr("t2_tse_multi echo", **T2_TSE),
        mr("MRE stiffness"),
    ],
}


def named(sets: dict[str, list[Set]]) -> list[object]:
    """One parameter a set, with an id that can be found: the expected phase, its number and its description."""
    return [
        pytest.param(tags, phase, id=f"{phase}-{n}-{ascii(tags['SeriesDescription'])[1:-1][:40]}")
        for phase, rows in sets.items()
        for n, tags in enumerate(rows)
    ]


EVERY = [(tags, phase) for phase, rows in (CT_SETS | MR_SETS).items() for tags in rows]


@pytest.mark.parametrize(("tags", "phase"), named(CT_SETS | MR_SETS))
def test_a_radiologist_would_say_the_same(tags: Set, phase: str) -> None:
    found = recognise(tags)
    assert found.phase == phase, found.how
    assert found.how.startswith(PHASES[phase].meaning.partition(" (")[0])


def test_every_phase_is_in_the_table_and_every_decision_is_taken() -> None:
    assert len(EVERY) >= 100
    assert {phase for _, phase in EVERY} == set(PHASES)
    assert {d.phase for rows in DECISIONS.values() for d in rows} <= set(PHASES)
    hows = [recognise(tags).how for tags, _ in EVERY]
    assert all(any(d.doubt in how for how in hows) for d in DECISIONS["MR"])


def test_a_reason_names_a_tag_that_the_series_has() -> None:
    for tags, phase in EVERY:
        found = recognise(tags)
        assert phase.endswith("_unknown") or any(keyword in found.how for keyword in tags.keys() - {"Modality"})
        assert "\n" not in found.how


UNRELATED: Set = {
    "Manufacturer": "Water Fat Portal",
    "BodyPartExamined": "ARTERIAL",
    "StudyDescription": "CT MRT Leber nativ, arteriell, portalvenös, T2 fs, DWI",
    "InstitutionName": "Native Hospital",
    "Rows": 512,
    "RescaleType": "US",
    "SeriesTime": "101000",
    "ContentTime": "112233.5",
    "TriggerTime": 70000.0,
    "TemporalPositionIdentifier": 2,
    "NumberOfTemporalPositions": 5,
    "EchoNumbers": 1,
    "ConvolutionKernel": "B30s",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
    "ContrastBolusRoute": "",
}


@pytest.mark.parametrize("keywords", [tuple(UNRELATED), *((keyword,) for keyword in UNRELATED)], ids=", ".join)
def test_unrelated_tags_change_nothing(keywords: tuple[str, ...]) -> None:
    added = {keyword: UNRELATED[keyword] for keyword in keywords}
    for tags, _ in EVERY if len(keywords) > 1 else EVERY[::10]:
        assert recognise(added | tags) == recognise(tags)


def test_the_order_of_the_tags_changes_nothing() -> None:
    shuffle = random.Random(0).shuffle
    for tags, _ in EVERY:
        items = list(tags.items())
        shuffle(items)
        assert recognise(dict(items)) == recognise(tags)


def test_numbers_and_lists_may_come_as_the_text_of_the_file() -> None:
    for tags, _ in EVERY:
        text = {k: "\\".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in tags.items()}
        assert recognise(text) == recognise(tags)


def test_what_is_empty_is_as_if_it_were_absent() -> None:
    empty = dict.fromkeys((*words.TEXTS, *words.CODED, *words.UNITS, "AcquisitionTime", "MagneticFieldStrength"), "")
    for tags, _ in EVERY:
        assert recognise(empty | tags) == recognise(tags)


@pytest.mark.parametrize(
    ("tags", "sides"),
    [
        (ct("Arteriell", ProtocolName="portalvenös"), ("SeriesDescription 'Arteriell'", "ProtocolName 'portalvenös'")),
        (ct("nativ portal"), ("before contrast agent ('nativ')", "portal venous phase ('portal')")),
        (ct("nativ", **bolus("101500", "101612")), ("'nativ'", "AcquisitionTime is 72 s after ContrastBolusStartTime")),
        (ct("CTA", **bolus("101500", "101612")), ("arterial phase ('cta')", "portal venous phase")),
        (mr("T1 tra", EchoTime=90.0), ("T1-weighted ('t1')", "EchoTime 90 ms")),
        (mr("T2 tra", EchoTime=2.0), ("T2-weighted ('t2')", "EchoTime 2 ms")),
        (mr("T1 in phase", "OPP_PHASE"), ("in phase ('in phase')", "ImageType says opposed phase ('OPP_PHASE')")),
        (mr("T2 fs", ProtocolName="T2 ohne fs"), ("fat suppressed ('fs')", "not fat suppressed ('ohne fs')")),
    ],
    ids=lambda v: v["SeriesDescription"] if isinstance(v, dict) else "",
)
def test_a_contradiction_names_both_sides(tags: Set, sides: tuple[str, str]) -> None:
    found = recognise(tags)
    assert found.phase.endswith("_unknown")
    assert "contradict" in found.how
    assert all(side in found.how for side in sides), found.how


@pytest.mark.parametrize(
    ("tags", "part"),
    [
        (ct("Abdomen 5.0"), "nothing in the tags says which phase"),
        (ct("Abdomen", ContrastBolusAgent="Ultravist"), "ContrastBolusAgent 'Ultravist' says contrast agent given"),
        (ct("Abdomen", ContrastBolusVolume=100.0), "ContrastBolusVolume 100 ml suggests contrast agent given"),
        (ct("Abdomen", ContrastBolusAgent="NONE"), "no agent ('none')"),
        (mr("t1_vibe", **T1_3T), "SeriesDescription 't1_vibe' says T1-weighted ('t1')"),
        (mr("PDFF map"), "a fat fraction map ('pdff'), which is none of the phases"),
        (mr("MRCP"), "in which the liver is dark"),
        (mr("t2_tse_dixon"), "nothing says which of the Dixon images it is"),
    ],
    ids=lambda v: v["SeriesDescription"] if isinstance(v, dict) else "",
)
def test_what_is_not_known_says_what_is(tags: Set, part: str) -> None:
    found = recognise(tags)
    assert found.phase.endswith("_unknown")
    assert part in found.how


@pytest.mark.parametrize(
    "tags",
    [
        {"ContrastBolusAgent": "Gastrografin"},
        {"ContrastBolusAgent": "Telebrix", "ContrastBolusRoute": "ORAL"},
        {"ContrastBolusAgent": "NO CONTRAST"},
        {"ContrastBolusAgent": "NONE"},
        {"ContrastBolusVolume": 0.0},
    ],
    ids=str,
)
def test_contrast_by_mouth_and_no_contrast_are_not_contrast(tags: Set) -> None:
    assert "contrast agent given" not in recognise(ct("Abdomen", **tags)).how
    given = recognise(ct("Abdomen", ContrastBolusAgent="Omnipaque", ContrastBolusRoute="ORAL and IV"))
    assert "contrast agent given" in given.how


@pytest.mark.parametrize("modality", ["US", "PT", "", "ct scan"])
def test_another_modality_is_refused_by_its_name(modality: str) -> None:
    with pytest.raises(InputError, match=f"a {modality.upper() or 'nameless'} series has no phase"):
        recognise({"Modality": modality, "SeriesDescription": "portal"})


@pytest.mark.parametrize(("delay_s", "phase"), [(14, "ct_unknown"), (15, "ct_arterial"), (45, "ct_arterial")])
@pytest.mark.parametrize("start_s", [0, 36000, 86390])
def test_a_delay_is_the_difference_of_two_times_of_day(delay_s: int, phase: str, start_s: int) -> None:
    clock = lambda s: f"{s // 3600 % 24:02d}{s // 60 % 60:02d}{s % 60:02d}"
    assert recognise(ct("Body", **bolus(clock(start_s), clock(start_s + delay_s)))).phase == phase


@pytest.mark.parametrize(
    ("minutes", "phase"), [(1, "portal"), (1.5, "portal"), (2, "delayed"), (10, "delayed"), (15, "hbp"), (40, "hbp")]
)
def test_times_in_a_name_are_those_after_the_injection(minutes: float, phase: str) -> None:
    for name in (f"T1 post {minutes:g} min", f"T1_post_{60 * minutes:g}s", f"T1 {minutes:g}分".replace(".", ",")):
        assert recognise(mr(name)).phase == f"mr_t1_{phase}"
    assert recognise(mr("T1 post 11 min")).phase == recognise(mr("T1 post 41 min")).phase == "mr_unknown"


# the echo times that vendors set for T1 in and opposed phase, at their fields
@pytest.mark.parametrize(
    ("field_t", "echo_ms", "phase"),
    [
        (1.5, 2.2, "opposed"),
        (1.5, 2.38, "opposed"),
        (1.5, 4.4, "in"),
        (1.494, 4.76, "in"),
        (1.5, 6.9, "opposed"),
        (1.5, 3.4, None),
        (3.0, 1.15, "opposed"),
        (3.0, 1.3, "opposed"),
        (3.0, 2.3, "in"),
        (2.8936, 2.46, "in"),
        (3.0, 3.69, "opposed"),
        (3.0, 1.75, None),
        (0.0, 2.3, None),
    ],
)
def test_echo_time_and_field_tell_in_from_opposed_phase(field_t: float, echo_ms: float, phase: str | None) -> None:
    both = mr("T1 in/out", EchoTime=echo_ms, MagneticFieldStrength=field_t)
    assert recognise(both).phase == (f"mr_t1_{phase}" if phase else "mr_unknown")
    assert recognise(both | {"SeriesDescription": "T1"}).phase == "mr_unknown"  # never by the echo time alone


ROWS = {(row.words, row.tags): row for rows in words.ROWS.values() for row in rows}.values()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.says}-{row.tags[0]}")
def test_a_word_of_a_row_finds_itself_and_nothing_longer(row: words.Row) -> None:
    for word in row.words.split(", "):
        core = word.rstrip("~$").strip("_")
        assert core == words.plain(core)
        text = f"xx {core}" if word.endswith("$") else f"xx_{core}_9"
        assert words.pattern(row.words).search(text), word
        if core.isascii() and core[0].isalpha() and core[-1].isalpha():
            assert not words.pattern(word).fullmatch(f"q{core}q")
    assert set(row.tags) <= {*words.TEXTS, *words.CODED}


def test_the_tables_speak_of_real_tags() -> None:
    keywords = {*words.TEXTS, *words.CODED, *words.UNITS} - {"NumberOfEchoes"}  # that one is counted by the reader
    assert all(tag_for_keyword(keyword) for keyword in keywords)
    assert all(set(band.ranges) <= words.UNITS.keys() for bands in words.BANDS.values() for band in bands)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the development data")
def test_the_tags_of_a_real_series_give_its_phase() -> None:
    first = dcmread(sorted((SHARED / "dicom_ct" / "series").iterdir())[0], stop_before_pixels=True)
    plain = {e.keyword: tuple(e.value) if e.VM > 1 else str(e.value) for e in first if e.keyword and e.VR != "SQ"}
    found = recognise(plain)
    assert found.phase == "ct_portal"
    assert "AcquisitionTime is 96 s after ContrastBolusStartTime" in found.how
