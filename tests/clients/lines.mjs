// What every driver shares: commands come in on standard input and what happens goes out on standard output, one JSON
// object a line. README.md beside this file has the words.

import {createInterface} from "node:readline";

// Libraries that print to the console must not print between the lines.
for (const name of ["log", "info", "debug"]) {
    console[name] = console.error;
}

/** Prints one line. */
export function tell(line) {
    process.stdout.write(JSON.stringify(line) + "\n");
}

/**
 * Carries out commands by the functions named after them, until standard input ends; then the process ends too.
 * A function gives what is to be told of its command, or a promise of it; one that throws is told as a refusal.
 */
export function serve(commands) {
    const carryOut = async (line) => {
        const command = JSON.parse(line);
        try {
            tell({...(await commands[command.do](command)), re: command.n});
        } catch (error) {
            tell({successful: false, error: String(error?.stack ?? error), re: command.n});
        }
    };
    const input = createInterface({input: process.stdin});
    input.on("line", carryOut);
    input.on("close", () => process.exit(0));
}
