"""`xray-bench compare`: what changed between two runs of the benchmark, and is it more than noise.

    speed_samples    results.json to one figure a process, stage or command, as the logarithm of its cost
    speed_changes    the change of each, beside the baseline or the machine's own speed
    welch            Welch's t-test of two small samples, what it could have found, Holm's correction
    answer_changes   answers to the same images, pair by pair
    findings         what counts as a change, of everything that was compared
    comparing        all of it, the verdict in a line, and what else differs: machine, versions, options
    comparison_page  Markdown
    cli              the command line

A run is measured once. What its day did to one row alone, and to neither the baseline nor the matrix
products, cannot be told from a change: hence the smallest change that counts, and two views where there are
two.
"""
