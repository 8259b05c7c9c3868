"""Results as DICOM objects, by highdicom: [dicom].

One image's way: `original` (what is taken over from the file that was classified) -> `secondary_capture` and
`structured_report`, with `instance` for what they have in common; `objects` writes them. Importing this
package loads neither pydicom nor highdicom.
"""
