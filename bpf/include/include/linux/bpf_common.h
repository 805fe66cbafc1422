/* Empty on purpose: BCC asks for it, our programs need nothing of it. */
