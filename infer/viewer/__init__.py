"""The window of `xray-view`: a list of films, the picture, and the model's answer for it.

Every answer comes from `xray_infer.Classifier`; nothing here runs a model. The interface thread holds the
widgets and does nothing that takes time: `classifying` lists and classifies in threads of its own,
`picture_loader` reads and decodes in a thread and a child process, `saving` writes in another thread. They
answer by Qt's queued signals, each with the number of the worklist that it belongs to, so that the window can
drop an answer that comes too late.

`render` turns arrays into arrays, and `words` turns answers into text. The core does not import this package,
and only this package imports PySide6.
"""
