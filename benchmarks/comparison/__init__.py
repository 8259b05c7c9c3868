"""`xray-bench compare`: what changed between two runs of the benchmark, and is it more than noise.

    estimate    changes of small samples of times: trimmed means, moderated variances, Welch's t
    pairing     the baseline processes that stand nearest to a row's in the run
    samples     results.json to one figure a process
    yardsticks  a row over its baselines or over the matrix products, and what changed of that ratio
    judging     figures against the baseline, against the machine's speed, or plainly
    speeds      everything that can be judged: processes, stages, commands, peers
    accuracy    answers against answers
    surroundings machine, versions, options, rows in one file only
    deciding    Holm's correction over all of it, and what counts as a change
    comparing   all of it, and the verdict in a line
    tables      Markdown
    command     the command line

A run is measured once. What its day did to one row alone, and to neither the baseline nor the matrix
products, cannot be told from a change: hence the smallest change that counts, and two yardsticks where there
are two.
"""
