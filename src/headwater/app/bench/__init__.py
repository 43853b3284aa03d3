"""The program's own benchmark: every figure beside a limit that was measured in the same run on the same machine.

One file a measurement (`accept`, `load`, `throughput`, `latency`, `idle`); what a measurement needs in a process of its
own is a part (`door`, `sender`, `steady`, `receiver`, `watcher`, `loader`), started by `parts`.
"""
