"""`python -m joinlog`: how `joinlog up` starts its processes, whatever PATH says."""

from joinlog.command import main

main(prog_name="joinlog")
