/* SPDX-License-Identifier: Apache-2.0 */
/* X(name, meaning). A new value needs a caller that treats it differently. */
X(OK, "done")
X(AGAIN, "no progress now, will be woken")
X(EOF, "clean end")
X(EPEERGONE, "the other side left")
X(EPROTO, "the other side broke the protocol")
X(ELIMIT, "a limit was reached")
X(ENOMEM, "no memory")
X(ETIMEDOUT, "a deadline passed")
X(ECANCELED, "given up by us")
X(ECONFIG, "bad configuration")
X(ESYS, "a system call failed")
