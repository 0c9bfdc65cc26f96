"""Nothing of the host's identity; the environment; the arguments."""

import json
import os
import pwd
import socket
import sys

from finding import check, done, facts, text

host = facts.get('host', {})
check('the host name is the job\'s', socket.gethostname() == facts.get('hostname', socket.gethostname()), socket.gethostname())
for name, word in host.items():
    shown = {
        'hostname': [socket.gethostname(), os.uname().nodename, text('/etc/hostname').strip(), text('/proc/sys/kernel/hostname').strip()],
        'machineId': [text('/etc/machine-id').strip()],
        'bootId': [text('/proc/sys/kernel/random/boot_id').strip()],
    }[name]
    check(f'{name} is not the host\'s', word not in shown, shown)
check('the machine id is one', len(text('/etc/machine-id').strip()) == 32, text('/etc/machine-id'))
check('hosts knows localhost and this job', socket.gethostbyname('localhost') == '127.0.0.1' == socket.gethostbyname(socket.gethostname()))
check('no resolver of the host', 'nameserver' not in text('/etc/resolv.conf'), text('/etc/resolv.conf'))
users = sorted(entry.pw_name for entry in pwd.getpwall())
check('no users of the host', users == ['nobody', 'root'], users)
check('root is at home in /work', pwd.getpwuid(0).pw_dir == '/work', pwd.getpwuid(0).pw_dir)
check('the domain name is nobody\'s', text('/proc/sys/kernel/domainname').strip() == '(none)', text('/proc/sys/kernel/domainname'))
print(f'environment {json.dumps(dict(os.environ))}')
print(f'arguments {json.dumps(sys.argv[1:])}')
done()
