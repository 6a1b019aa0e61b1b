/*
 * The defects, one a file. public.h says what each does.
 */

#pragma once

#include "../ioctl.h"

MYFAULT_REQUEST MyFaultHangIrp;
