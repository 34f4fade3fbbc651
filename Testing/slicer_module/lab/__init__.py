"""Slicer without its application: real MRML from the slicer-core wheel, and stand-ins for what the wheel has not.

What is real: every vtk*/vtkMRML*/vtkSlicer* class (scene, volumes, segmentations, logics, displayable managers), `slicer.util`.
What is ours: `qt` (PySide6 with the rules of PythonQt), every ctk/qMRML/qSlicer class (members exactly those of
`slicer_api.json`, behaviour by hand where the panel needs it), `slicer.app`, ScriptedLoadableModule, parameterNodeWrapper,
i18n, packaging, SampleData. What is absent: the GUI of other modules, the effects of the segment editor, real layouts.

    boot.boot()      scene, logics and a plain `slicer.app`; no Qt                       (fixtures `app`, `scene`)
    desk.start()     the Qt stand-ins on top of it; modules and panels can be opened     (fixtures `desk`, `views`)
    checker          .ui files and Python against the list of classes, without Qt        (test_static.py)

A stand-in fails where Slicer would: unknown attributes, properties, signals and slots raise, and so do members that only C++ sees.
A green run here is not a run in Slicer; it says that the names, types and scene operations are right.
"""
