"""Tasklets, inputs and programs made to harm, each with the one fault that it must end in, and what runs them."""
