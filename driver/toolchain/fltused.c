/*
 * The compiler asks for this symbol in every object that computes with floating point; for a program it brings the C runtime's support in. A driver
 * has none and needs none. Linked only where it is asked for.
 */

int _fltused = 1;
