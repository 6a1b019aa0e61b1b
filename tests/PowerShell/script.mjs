// What one script says: its functions and their parameters, what it calls with which parameters, what it assigns and reads. Names are lower case, as
// PowerShell does not mind.

/** @typedef {{name: string, line: number, column: number}} Place */

const lower = text => text.toLowerCase();
const place = (node, name) => ({ name, line: node.startPosition.row + 1, column: node.startPosition.column + 1 });

/** Scopes nest as functions and remote script blocks do; what runs in another process sees nothing of what is around it. */
class Scope {
    constructor(outer, remote) {
        this.outer = outer;
        this.remote = remote;
        this.assigned = new Set();
        this.read = [];
    }
}

export class Script {
    /** @param {string} file as it is told to the user  @param {import('web-tree-sitter').Tree} tree */
    constructor(file, tree) {
        this.file = file;
        /** Places where the grammar was lost. */
        this.errors = [];
        /** @type {Map<string, {parameters: Set<string>, advanced: boolean, asks: boolean, place: Place, scope: Scope}>} */
        this.functions = new Map();
        this.calls = [];
        /** Types where an argument is text. */
        this.bareTypes = [];
        /** What goes to another machine and stands elsewhere. */
        this.unseen = [];
        /** Operators that Windows PowerShell has not. */
        this.newer = [];
        this.uses = new Set();
        this.dotted = new Set();
        this.scopes = [];
        this.exported = null;
        this.strict = false;
        this.own = this.#parameters(tree.rootNode);
        const whole = this.#scope(null, false);
        for (const name of this.own.parameters) whole.assigned.add(name);
        this.#visit(tree.rootNode, whole, null);
    }

    #scope(outer, remote) {
        const scope = new Scope(outer, remote);
        this.scopes.push(scope);
        return scope;
    }

    /** The parameters of a function, a script block or the script itself. */
    #parameters(node) {
        const named = new Set();
        const blocks = [];
        const search = at => {
            for (const child of at.namedChildren) {
                if (child.type === 'param_block' || child.type === 'function_parameter_declaration') blocks.push(child);
                else if (['script_block', 'script_block_body'].includes(child.type)) search(child);
            }
        };
        search(node);
        let attributes = '';
        for (const block of blocks) {
            for (const parameter of block.descendantsOfType('script_parameter')) {
                const variable = parameter.namedChildren.find(child => child.type === 'variable');
                if (variable) named.add(lower(variable.text.replace(/^\$/, '')));
                attributes += parameter.namedChildren.filter(child => child.type === 'attribute_list').map(child => child.text).join(' ');
            }
            attributes += block.namedChildren.filter(child => child.type === 'attribute_list').map(child => child.text).join(' ');
        }
        return { parameters: named, advanced: /\[\s*(CmdletBinding|Parameter)\b/i.test(attributes), asks: /\bSupportsShouldProcess\b/i.test(attributes) };
    }

    #visit(node, scope, remoteOf) {
        if (node.isError || node.isMissing) this.errors.push({ ...place(node, node.text.split('\n')[0]), missing: node.isMissing ? node.type : null });
        let inner = scope;
        switch (node.type) {
            case 'function_statement': {
                const name = node.namedChildren.find(child => child.type === 'function_name');
                const own = this.#parameters(node);
                inner = this.#scope(scope, false);
                for (const parameter of own.parameters) inner.assigned.add(parameter);
                if (name) this.functions.set(lower(name.text), { ...own, name: name.text, place: place(name, name.text), scope });
                break;
            }
            case 'script_block_expression':
                if (remoteOf) inner = this.#scope(scope, true);
                for (const parameter of this.#parameters(node).parameters) inner.assigned.add(parameter);
                break;
            case 'left_assignment_expression':
                for (const variable of node.descendantsOfType('variable')) this.#assign(variable, scope);
                break;
            case 'foreach_statement': {
                const variable = node.namedChildren.find(child => child.type === 'variable');
                if (variable) this.#assign(variable, scope);
                break;
            }
            case 'pipeline_chain_tail':
                this.newer.push(place(node, node.text));
                break;
            case 'command':
                return this.#command(node, scope);
            case 'variable':
                this.#read(node, scope);
                break;
        }
        for (const child of node.children) this.#visit(child, inner, null);
    }

    #assign(variable, scope) {
        const text = lower(variable.text.replace(/^[$@]\{?/, '').replace(/\}$/, ''));
        if (text.startsWith('script:')) this.scopes[0].assigned.add(text.slice(7));
        else if (!text.includes(':')) scope.assigned.add(text);
    }

    #read(variable, scope) {
        const text = lower(variable.text.replace(/^[$@]\{?/, '').replace(/\}$/, ''));
        if (text.startsWith('using:')) scope.read.push({ ...place(variable, text.slice(6)), using: true });
        else if (text.startsWith('script:')) this.scopes[0].read.push(place(variable, text.slice(7)));
        else if (!text.includes(':') && text !== '') scope.read.push(place(variable, text));
    }

    #command(node, scope) {
        const children = node.namedChildren;
        const nameNode = children.find(child => child.type === 'command_name' || child.type === 'command_name_expr');
        const operator = children.find(child => child.type === 'command_invokation_operator')?.text ?? '';
        const elements = children.find(child => child.type === 'command_elements');
        const arguments_ = elements ? elements.namedChildren : [];
        const parameters = arguments_.filter(child => child.type === 'command_parameter').map(child => place(child, lower(child.text.replace(/^-/, '').replace(/:$/, ''))));
        const splats = arguments_.flatMap(child => child.descendantsOfType('variable')).filter(variable => variable.text.startsWith('@')).map(variable => place(variable, variable.text));
        // [bool] $x among arguments is the text '[bool]' and another argument.
        const bare = child => {
            if (child.type === 'type_literal') this.bareTypes.push(place(child, child.text));
            else if (['array_literal_expression', 'unary_expression', 'member_access', 'invokation_expression', 'expression_with_unary_operator', 'cast_expression'].includes(child.type)) child.namedChildren.forEach(bare);
        };
        arguments_.forEach(bare);
        const text = nameNode?.text ?? '';
        const file = /([\w.-]+\.ps1)['"]?\)?$/i.exec(text.trim())?.[1];
        if (nameNode && file && operator) {
            if (operator === '.') this.dotted.add(lower(file));
            this.calls.push({ ...place(nameNode, file), script: true, parameters, splats, scope });
        } else if (nameNode?.type === 'command_name' && !/^\d/.test(text)) {
            this.calls.push({ ...place(nameNode, text), script: false, parameters, splats, scope });
        }
        const strings = () => arguments_.flatMap(child => child.descendantsOfType(['verbatim_string_characters', 'generic_token'])).map(child => child.text.replace(/^'|'$/g, ''));
        if (lower(text) === 'import-module') for (const name of strings()) if (/\.psm1$/i.test(name)) this.uses.add(lower(name.split(/[\\/]/).pop()));
        if (lower(text) === 'set-strictmode') this.strict = true;
        if (lower(text) === 'export-modulemember') {
            this.exported ??= [];
            for (const child of arguments_.flatMap(child => child.descendantsOfType(['verbatim_string_characters', 'generic_token']))) this.exported.push(place(child, child.text.replace(/^'|'$/g, '')));
        }
        // Of the script blocks that a command takes, one that goes to another machine or process sees no variable of this one.
        const remote = (lower(text) === 'invoke-command' && parameters.some(parameter => ['session', 'computername', 'vmname', 'vmid'].includes(parameter.name))) || lower(text) === 'start-job';
        if (remote && !arguments_.some(child => child.descendantsOfType('script_block_expression').length > 0)) this.unseen.push(place(node, text));
        for (const child of node.children) {
            if (child === nameNode && child.type === 'command_name') continue;
            this.#arguments(child, scope, remote);
        }
    }

    #arguments(node, scope, remote) {
        if (node.type === 'script_block_expression' || !remote) this.#visit(node, scope, remote);
        else if (['command_elements', 'array_literal_expression', 'unary_expression'].includes(node.type)) {
            if (node.isError || node.isMissing) this.#visit(node, scope, false);
            else for (const child of node.children) this.#arguments(child, scope, true);
        } else this.#visit(node, scope, false);
    }
}
