# As it was written in its time: a print statement, and a division that rounds.
#
#     rnx job run --runtime=python-2.7-legacy --upload=report.py python report.py
import sys

print "Python", sys.version_info[0], "says", 7 / 2
