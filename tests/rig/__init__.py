"""The proof rig: is the promise true, whatever dies? Simulation, failpoints, mutants, chaos; and does the rig bite?"""
