"""The window of `xray-view`: a list of films, the picture, and what the model says of it.

Everything that is said of an image comes from `xray_infer.Classifier`; nothing here runs a model. What Qt
draws and what takes time never meet: the interface thread holds the widgets, `judging` lists and classifies
in threads of its own, `pictures` reads and decodes in a thread and a child process, `saving` writes in
another. They answer by Qt's queued signals, each with the number of the opening that it belongs to, so that
what is late is dropped.

`render`, `placement` and `words` know nothing of Qt: arrays to arrays, and answers to words. The core does
not know of this package, and PySide6 is loaded by it alone.
"""
