/*
 * The defects, one a file. public.h says what each does.
 */

#pragma once

#include "../ioctl.h"

MYFAULT_REQUEST MyFaultHangCreate;
MYFAULT_REQUEST MyFaultHangIrp;
MYFAULT_REQUEST MyFaultNoopCancel;
