"""Nothing of the host's identity; the environment; the arguments."""

import json
import os
import pwd
import socket
import sys

from finding import check, done, facts, text

host = facts.get('host', {})
name = socket.gethostname()
shown = {
    'hostname': [name, os.uname().nodename, text('/etc/hostname'), text('/proc/sys/kernel/hostname')],
    'machineId': [text('/etc/machine-id')],
    'bootId': [text('/proc/sys/kernel/random/boot_id')],
}
for kind, word in host.items():
    words = [each.strip() for each in shown[kind]]
    check(f"{kind} is not the host's", word not in words, words)
    check(f'{kind} is one', len(set(words)) == 1, words)
check('the machine id is one', len(text('/etc/machine-id').strip()) == 32, text('/etc/machine-id'))
check('hosts knows localhost and this job', {*map(socket.gethostbyname, ('localhost', name))} == {'127.0.0.1'})
check('no resolver of the host', 'nameserver' not in text('/etc/resolv.conf'), text('/etc/resolv.conf'))
users = sorted(entry.pw_name for entry in pwd.getpwall())
check('no users but its own', users == facts['users'], users)
check('root is at home in /work', pwd.getpwuid(0).pw_dir == '/work', pwd.getpwuid(0).pw_dir)
domain = text('/proc/sys/kernel/domainname').strip()
check("the domain name is nobody's", domain == '(none)', domain)
print(f'environment {json.dumps(dict(os.environ))}')
print(f'arguments {json.dumps(sys.argv[1:])}')
done()
