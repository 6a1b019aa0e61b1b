// Checks every .ps1 and .psm1 of a folder tree: its grammar; that each function, script and cmdlet it calls is there and has the parameters it is given; that each
// variable it reads is assigned somewhere; that what is sent to another machine takes nothing of this one with it. Of cmdlets that do not come from this
// repository, cmdlets.txt has what their documentation says.
//
//   node check.mjs [FOLDER]     0: nothing found; 1: findings, one a line, 'file:line:column: what'; 2: there was nothing to check
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import v8 from 'node:v8';
import { Language, Parser } from 'web-tree-sitter';
import { Script } from './script.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(process.argv[2] ?? join(here, '..', '..'));
const skipped = new Set(['.git', 'node_modules', 'artifacts', 'results']);

const automatic = new Set(['_', 'psitem', 'args', 'input', 'null', 'true', 'false', 'error', 'matches', 'lastexitcode', 'myinvocation', 'pscmdlet', 'psboundparameters', 'pscommandpath', 'psscriptroot',
    'psversiontable', 'pwd', 'home', 'host', 'pid', 'erroractionpreference', 'warningpreference', 'progresspreference', 'verbosepreference', 'confirmpreference', 'whatifpreference', 'debugpreference']);
const common = ['verbose', 'debug', 'erroraction', 'errorvariable', 'warningaction', 'warningvariable', 'informationaction', 'informationvariable', 'outvariable', 'outbuffer', 'pipelinevariable'];
const asking = ['whatif', 'confirm'];

function* files(folder) {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
        if (entry.isDirectory() && !skipped.has(entry.name)) yield* files(join(folder, entry.name));
        else if (entry.isFile() && /\.psm?1$/i.test(entry.name)) yield join(folder, entry.name);
    }
}

/** "Get-VM: -Name -Id", or a name alone for a cmdlet whose every parameter may be given by position only. */
function cmdlets(file) {
    const known = new Map();
    for (const line of readFileSync(file, 'utf8').split('\n')) {
        if (line.startsWith('#') || line.trim() === '') continue;
        const [name, parameters = ''] = line.split(':');
        known.set(name.trim().toLowerCase(), new Set([...parameters.trim().split(/\s+/).filter(Boolean).map(parameter => parameter.slice(1).toLowerCase()), ...common, ...asking]));
    }
    return known;
}

// The optimising compiler takes five seconds over the grammar's tables; what it would gain is nothing.
v8.setFlagsFromString('--liftoff-only');
await Parser.init();
const parser = new Parser();
const grammar = createRequire(import.meta.url).resolve('tree-sitter-powershell/package.json');
parser.setLanguage(await Language.load(join(dirname(grammar), 'tree-sitter-powershell.wasm')));

const known = cmdlets(join(here, 'cmdlets.txt'));
const scripts = [...files(root)].map(file => new Script(relative(root, file).replaceAll('\\', '/'), parser.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, ''))));
if (scripts.length === 0) {
    console.error(`${root} has no PowerShell scripts`);
    process.exit(2);
}

const byName = new Map(scripts.map(script => [script.file.split('/').pop().toLowerCase(), script]));
const findings = [];
for (const script of scripts) {
    const find = (at, what) => findings.push(`${script.file}:${at.line}:${at.column}: ${what}`);
    for (const error of script.errors) find(error, error.missing ? `syntax: ${error.missing} is missing` : `syntax: '${error.name.slice(0, 60)}' is not PowerShell here`);
    if (script.errors.length > 0) continue;
    for (const type of script.bareTypes) find(type, `${type.name} is text where an argument stands; parentheses make it PowerShell`);

    for (const operator of script.newer) find(operator, `syntax: Windows PowerShell has no ${operator.name}`);
    for (const call of script.unseen) find(call, `${call.name} sends what is not written here, which cannot be checked`);

    const dotted = [...script.dotted].map(name => byName.get(name)).filter(Boolean);
    const modules = [...script.uses].map(name => byName.get(name)).filter(Boolean);
    const callers = scripts.filter(other => other.dotted.has(script.file.split('/').pop().toLowerCase()));
    const functions = new Map([...modules.flatMap(module => [...module.functions].filter(([name]) => !module.exported || module.exported.some(one => one.name.toLowerCase() === name))), ...dotted.flatMap(one => [...one.functions]), ...script.functions]);
    for (const name of script.uses) if (!byName.has(name)) find({ line: 1, column: 1 }, `imports ${name}, which is not in this repository`);
    if (!script.strict && callers.length === 0) find({ line: 1, column: 1 }, 'has no Set-StrictMode');
    for (const name of script.exported ?? []) if (!script.functions.has(name.name.toLowerCase())) find(name, `exports '${name.name}', which it does not define`);

    const parametersOf = one => new Set([...one.parameters, ...(one.advanced ? common : []), ...(one.asks ? asking : [])]);
    for (const call of script.calls) {
        const name = call.name.toLowerCase();
        let takes;
        if (call.script) {
            const called = byName.get(name);
            if (!called) {
                find(call, `calls ${call.name}, which is not in this repository`);
                continue;
            }
            takes = parametersOf(called.own);
        } else if (functions.has(name)) {
            takes = parametersOf(functions.get(name));
            if (remoteOf(call.scope) !== remoteOf(functions.get(name).scope)) find(call, `calls ${call.name} on another machine, which does not have it`);
        } else if (known.has(name)) takes = known.get(name);
        else if (/\.exe$/.test(name)) continue;
        else {
            find(call, `calls '${call.name}', which neither this script, what it imports nor cmdlets.txt has`);
            continue;
        }
        for (const parameter of call.parameters) if (!takes.has(parameter.name)) find(parameter, `${call.name} has no parameter -${parameter.name}`);
        for (const splat of call.splats) find(splat, `${call.name} is given ${splat.name}, whose parameters cannot be checked`);
    }

    const assigned = (scope, variable) => {
        for (let at = scope; at; at = at.remote ? null : at.outer) if (at.assigned.has(variable)) return true;
        return !isRemote(scope) && [...dotted, ...callers].some(other => other.scopes.some(one => !one.remote && one.assigned.has(variable)));
    };
    for (const scope of script.scopes) {
        for (const variable of scope.read) {
            if (automatic.has(variable.name)) continue;
            const from = variable.using ? remoteOf(scope)?.outer : scope;
            if (variable.using && !from) find(variable, `$using:${variable.name} outside of what is sent to another machine`);
            else if (!assigned(from, variable.name)) find(variable, isRemote(scope) && !variable.using ? `$${variable.name} is not assigned on the other machine; $using:${variable.name} takes it there` : `$${variable.name} is never assigned`);
        }
    }
}

function remoteOf(scope) {
    for (let at = scope; at; at = at.outer) if (at.remote) return at;
    return null;
}

function isRemote(scope) {
    return remoteOf(scope) !== null;
}

for (const finding of findings) console.log(finding);
console.log(findings.length === 0 ? `${scripts.length} scripts, nothing found` : `${scripts.length} scripts, ${findings.length} found`);
process.exit(findings.length === 0 ? 0 : 1);
