// This host's Python as files that a job brings along, so that programs in it run whatever the job's root
// holds: the interpreter, the loader and the libraries that it needs, and only the modules that are imported.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import type { File } from './upload-parts.ts';

const PYTHON = '/usr/bin/python3';
/** Where it lies in a job. */
const FOLDER = 'python';
const AT = `/work/${FOLDER}`;

/** Why there is no Python to bring along, or false: the `skip` of a test. */
export function cannotBringPython(): string | false {
  return existsSync(PYTHON) ? false : 'there is no python3; apt-get install python3';
}

/** Imports what the programs in its arguments import, and says from where all of that came. */
const IMPORT_ALL = `
import ast, importlib, json, os, sys
for program in sys.argv[1:]:
    for node in ast.walk(ast.parse(open(program).read())):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        for name in names + ([node.module] if isinstance(node, ast.ImportFrom) else []):
            if not os.path.exists(os.path.join(os.path.dirname(program), name + '.py')):
                importlib.import_module(name)
import encodings.idna  # which nobody names: every host name goes through it
files = {getattr(module, '__file__', None) for module in sys.modules.values()}
print(json.dumps(sorted(files - {None})))
`;

/** The files that bring it, for programs that import no more than these do. */
export function portablePython(programs: readonly string[]): readonly File[] {
  const printed = execFileSync(PYTHON, ['-I', '-S', '-c', IMPORT_ALL, ...programs], {
    encoding: 'utf8',
  });
  const modules = JSON.parse(printed) as readonly string[];
  const interpreter = realpathSync(PYTHON);
  const libraries = librariesOf([interpreter, ...modules.filter((file) => file.endsWith('.so'))]);
  return [
    fileOf(interpreter, 'python3', 0o755),
    ...libraries.map((file) => fileOf(file, nameOfLibrary(file), 0o755)),
    ...modules.map((file) => fileOf(file, file.replace(/^\/usr\//, ''), 0o644)),
  ];
}

/** How a job runs a program of its work directory in the Python that it brought along. */
export function inPortablePython(program: string) {
  return {
    command: `${AT}/${LOADER}`,
    args: ['--library-path', `${AT}/lib`, `${AT}/python3`, '-S', '-B', `/work/${program}`],
    environment: { PYTHONHOME: AT },
  };
}

const LOADER = 'loader';

function nameOfLibrary(file: string): string {
  const name = path.basename(file);
  return name.startsWith('ld-') ? LOADER : `lib/${name}`;
}

/** What programs load when they start, the loader too. */
function librariesOf(files: readonly string[]): string[] {
  const said = execFileSync('ldd', files, { encoding: 'utf8' });
  return [...new Set([...said.matchAll(/(?:=> |^\t)(\/\S+) \(/gm)].map(([, name = '']) => name))];
}

function fileOf(file: string, name: string, mode: number): File {
  return { path: `${FOLDER}/${name}`, content: readFileSync(file), mode };
}
