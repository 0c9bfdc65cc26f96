#!/bin/sh
# A first job: what it is to be inside of one.
echo "hello from $(hostname), user $(id -u) in a place of its own"
echo "in sight: $(ls / | tr '\n' ' ')"
echo "processes: $(ls /proc | grep -c '^[0-9]'), capabilities: $(sed -n 's/^CapEff:\t//p' /proc/self/status)"
for left in 3 2 1; do
  echo "$left ..."
  sleep 0.2
done
echo "done"
