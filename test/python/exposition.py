# Reads metrics with Prometheus' own parsers: the text format, or OpenMetrics, which is strict about
# everything that there is to be strict about. Prints what it understood as JSON.

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

parse = {"prometheus": prometheus, "openmetrics": openmetrics}[sys.argv[1]]
text = sys.stdin.buffer.read().decode()
samples = [
    [sample.name, sample.labels, str(sample.value)]
    for family in parse(text)
    for sample in family.samples
]
json.dump(samples, sys.stdout)
